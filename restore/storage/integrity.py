"""Holds bytes that were read or written against what the store itself says of them."""

from __future__ import annotations

import base64
import hashlib

from restore.storage.retry import Damaged


class Misstored(OSError):
    """A store that accepted a write and says that it keeps other bytes.

    Attributes:
        version: of the wrong object, where the store's answer to this very write names it; else None.
    """

    def __init__(self, path: str, fault: str, version: str | None) -> None:
        super().__init__(None, fault, path)
        self.version = version


def md5_hex(data: bytes) -> str:
    """MD5 in hexadecimal digits. It finds accidents; nothing here relies on it against attackers."""
    return hashlib.md5(data, usedforsecurity=False).hexdigest()


def require_announced(path: str, data: bytes, *, size: int | None, md5: str | None = None) -> None:
    """Raise `Damaged` unless `data` is what the store announced.

    Args:
        size: bytes, as the store says; None where it does not.
        md5: in hexadecimal digits; None where the store gives none.
    """
    if size is not None and len(data) != size:
        raise Damaged(None, f"{len(data)} bytes came, and {size} were announced", path)
    if md5 is not None and md5_hex(data) != md5:
        raise Damaged(None, "the bytes that came do not have the MD5 that the store gives", path)


def require_kept(
    path: str, data: bytes, *, size: int | None, md5: str | None = None, version: str | None = None
) -> None:
    """Raise `Misstored` unless the store says that it keeps `data`.

    Args:
        size: bytes that the store says it keeps; None where it does not say.
        md5: in hexadecimal digits; None where the store gives none.
        version: as for `Misstored`.
    """
    if size is not None and len(data) != size:
        raise Misstored(path, f"{len(data)} bytes were sent, and the store keeps {size}", version)
    if md5 is not None and md5_hex(data) != md5:
        raise Misstored(path, "the store keeps other bytes than those that were sent, by their MD5", version)


def hex_of_base64(text: str | None) -> str | None:
    """The hexadecimal digits of an MD5 in base64; None for None."""
    return base64.b64decode(text).hex() if text else None

"""Locations: URIs parsed once, with their printable form."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass

from restore.errors import ErrorCode, ItemError
from restore.storage.base import AZURE, HTTP, KINDS, LOCAL, StoreKind

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")

SIGNED_QUERY = (
    r"[?&](x-amz-[a-z-]*|x-goog-[a-z-]*|awsaccesskeyid|signature|sig|auth|authorization|password|secret"
    r"|token|access_token|api_?key)="
)
"""What stands before a secret in a URL's query, whatever the case."""

_SIGNED = re.compile(SIGNED_QUERY, re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Location:
    """A URI, parsed once and handed down.

    Attributes:
        uri: as it was given.
        scheme: in lower case; `file` for a plain path.
        path: of a local location its path, of others all after `://`. Nothing is unquoted, since `%` may be
            part of a name.
    """

    uri: str
    scheme: str
    path: str

    @classmethod
    def of(cls, uri: str) -> Location:
        """Parse `uri`. Any text is a location; `restore.storage.access` says which may be used."""
        match = _SCHEME.match(uri)
        return cls(uri, match[1].lower(), uri[match.end() :]) if match else cls(uri, "file", uri)

    @property
    def kind(self) -> StoreKind | None:
        """The kind of store that it lies in; None for a scheme that is not known."""
        return KINDS.get(self.scheme)

    @property
    def is_local(self) -> bool:
        """Whether it lies on this machine's own file system."""
        return self.kind is LOCAL

    @property
    def authority(self) -> str:
        """What stands between `://` and the path: host, bucket or container, and a user before `@`."""
        return "" if self.is_local else re.split(r"[/?#]", self.path, maxsplit=1)[0]

    @property
    def has_credentials(self) -> bool:
        """Whether a password, a key or a signature stands in it."""
        user, at, _ = self.authority.rpartition("@")
        if self.kind is HTTP:
            return bool(at) or bool(_SIGNED.search(self.uri))
        # abfs://container@account/... is how Azure spells a place; only a password makes it a secret.
        return ":" in user if self.kind is AZURE else bool(at)

    @property
    def redacted(self) -> str:
        """For messages and rows: without credentials, and still refused for having had them."""
        if "::" in self.uri:
            return "::".join(Location.of(part).redacted for part in self.uri.split("::"))
        if self.is_local or not self.has_credentials:
            return self.uri
        user, at, host = self.authority.rpartition("@")
        if at:
            return f"{self.scheme}://{'…:…' if ':' in user else '…'}@{host}/…"
        return f"{self.scheme}://{host}/…?signature=…"


def is_local(uri: str) -> bool:
    """Whether `uri` names something on this machine's own file system."""
    return Location.of(uri).is_local


def local_path(uri: str) -> str:
    """The path of a local URI; nothing is unquoted, since `%` may be part of a name."""
    return Location.of(uri).path


def redact(uri: str) -> str:
    """`uri` for messages and rows: without credentials, and still refused for having had them."""
    return Location.of(uri).redacted


def resolve(uri: str, base: str) -> str:
    """`uri` made absolute against the folder that holds `base`.

    Nothing is quoted or unquoted: keys may hold spaces, `%`, `+` and any letters. Local results are
    absolute plain paths.

    Args:
        base: URI or path of the manifest.

    Raises:
        ItemError: `invalid_row` when `uri` is empty or climbs above its bucket.
    """
    if not uri:
        raise ItemError(ErrorCode.INVALID_ROW, "an empty URI; give a path or leave the column null")
    location, folder = Location.of(uri), Location.of(base)
    if location.is_local and location.path.startswith("/"):
        return os.path.normpath(location.path)
    if _SCHEME.match(uri):
        return uri
    if folder.is_local:
        # Not Path.parent, which would take the folder of a base that ends in a slash for a file.
        return os.path.abspath(os.path.join(os.path.dirname(folder.path), uri))  # noqa: PTH100, PTH118, PTH120
    return _resolve_key(uri, folder)


def _resolve_key(uri: str, base: Location) -> str:
    scheme, rest = base.uri.partition("://")[0], base.path
    if base.kind is HTTP:
        rest = re.split(r"[?#]", rest, maxsplit=1)[0]
    place, *folders = rest.split("/")[:-1] or [rest]
    for segment in uri.split("/"):
        if segment == ".." and not folders:
            raise ItemError(ErrorCode.INVALID_ROW, f"{uri}: climbs above {scheme}://{place}; name it in full")
        if segment == "..":
            folders.pop()
        elif segment != ".":
            folders.append(segment)
    return f"{scheme}://{'/'.join([place, *folders])}"

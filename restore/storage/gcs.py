"""Google Cloud Storage through gcsfs, by the calls of its JSON API. gcsfs tries again by itself."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any, Literal

import google.auth.exceptions
import google_crc32c
import requests
from gcsfs.retry import ChecksumError, HttpError

from restore.errors import StorageConfigError
from restore.storage.base import BeforeRead, Entry, Fetched, require_same
from restore.storage.integrity import hex_of_base64, require_announced, require_kept
from restore.storage.object_store import ObjectStore, Page, media_type, split, unnameable
from restore.storage.retry import Damaged, answered

PAGE = 1000
"""Objects of one page of a listing; the most that the service gives."""


class GcsStore(ObjectStore):
    """Objects of Google Cloud Storage; a version is the object's generation."""

    scheme = "gs"

    def __init__(self, fs: Any) -> None:
        self._fs = fs

    def get(self, path: str, check_before_read: BeforeRead) -> Fetched:
        """Read one object: its size and generation first, then the bytes of that generation."""
        bucket, key = split(path)
        found = self._call("GET", "b/{}/o/{}", bucket, key)
        check_before_read(int(found["size"]), found["generation"])
        try:
            with errors_of_storage(path):
                _, data = self._fs.call(
                    "GET", "b/{}/o/{}", bucket, key, alt="media", generation=found["generation"]
                )
        except FileNotFoundError:
            require_same(path, found["generation"], "none")
        md5 = hex_of_base64(found.get("md5Hash"))
        require_announced(path, bytes(data), size=int(found["size"]), md5=md5)
        if md5 is None:
            _require_crc32c(path, bytes(data), found.get("crc32c"))
        return Fetched(bytes(data), found["generation"])

    def version(self, path: str) -> str | None:
        """The generation of one object; None where there is none."""
        try:
            return str(self._call("GET", "b/{}/o/{}", *split(path))["generation"])
        except FileNotFoundError:
            return None

    def create(self, path: str, data: bytes) -> None:
        """Write one object unless its name is taken (ifGenerationMatch=0), else FileExistsError."""
        self._put(path, data, mode="create")

    def replace(self, path: str, data: bytes) -> None:
        """Write one object, replacing the one of that name."""
        self._put(path, data, mode="overwrite")

    def remove(self, path: str) -> None:
        """Delete one object; a missing one is fine."""
        try:
            with errors_of_storage(path):
                self._fs.call("DELETE", "b/{}/o/{}", *split(path))
        except FileNotFoundError:
            return

    def page(self, bucket: str, prefix: str, delimiter: str, after: str | None) -> Page:
        """One page of objects.list."""
        wanted = {"prefix": prefix or None, "delimiter": delimiter or None, "pageToken": after}
        answer = self._call("GET", "b/{}/o", bucket, maxResults=PAGE, **wanted)
        return Page(
            entries=[
                Entry(
                    item["name"],
                    int(item["size"]),
                    item["generation"],
                    datetime.fromisoformat(item["updated"]),
                )
                for item in answer.get("items", ())
            ],
            folders=answer.get("prefixes", []),
            next=answer.get("nextPageToken"),
        )

    def _put(self, path: str, data: bytes, mode: Literal["create", "overwrite"]) -> None:
        bucket, key = split(path)
        kind = {"content_type": found} if (found := media_type(path)) else {}
        with errors_of_storage(path):
            # One request whatever the size: it takes the condition along, and leaves no half upload.
            answer = self._fs.pipe_file(path, data, mode=mode, chunksize=len(data) + 1, **kind)
        kept = answer if "size" in answer else self._call("GET", "b/{}/o/{}", bucket, key)
        md5, version = hex_of_base64(kept.get("md5Hash")), answer.get("generation")
        require_kept(path, data, size=int(kept["size"]), md5=md5, version=version)

    def _call(self, method: str, place: str, *names: str, **parameters: Any) -> dict[str, Any]:
        with errors_of_storage("/".join(names)):
            answer: dict[str, Any] = self._fs.call(method, place, *names, json_out=True, **parameters)
            return answer


def _require_crc32c(path: str, data: bytes, announced: str | None) -> None:
    """Raise `Damaged` unless the bytes have this checksum, which is all that a composite object has."""
    if announced and google_crc32c.value(data).to_bytes(4, "big") != base64.b64decode(announced):
        raise Damaged(None, "the bytes that came do not have the CRC32C that the store gives", path)


@contextmanager
def errors_of_storage(path: str) -> Iterator[None]:
    """What gcsfs raises, as the errors that other stores raise."""
    try:
        yield
    except (FileNotFoundError, FileExistsError):
        raise
    except requests.RequestException as error:
        raise ConnectionError(f"{type(error).__name__} at {path}") from error
    except ChecksumError as error:
        raise Damaged(None, "its checksum does not fit its bytes", path) from error
    except HttpError as error:
        raise answered(path, int(error.code or 0)) from error
    except google.auth.exceptions.GoogleAuthError as error:
        raise _unauthenticated(error) from error
    except OSError as error:
        if str(error).startswith("Forbidden"):  # how gcsfs words a 403
            raise answered(path, 403) from error
        raise
    except ValueError as error:
        if str(error).startswith("Bad Request"):  # how it words a 400 that calls something invalid
            raise unnameable(path) from error
        raise


def _unauthenticated(error: google.auth.exceptions.GoogleAuthError) -> Exception:
    if error.retryable or isinstance(error, google.auth.exceptions.TransportError):
        return ConnectionError(f"no token: {type(error).__name__}")
    return StorageConfigError(
        f"gs://: no usable credentials ({type(error).__name__}); set GOOGLE_APPLICATION_CREDENTIALS to a "
        "key file, or give the machines a service account"
    )

"""Object stores through fsspec: S3 by its own calls, others by fsspec's. Only listings retry here.

Paths are `bucket/key`. A key is passed on letter by letter: fsspec's own path handling would cut it at
`?versionId=` and drop trailing slashes.
"""

from __future__ import annotations

import asyncio
import errno
import mimetypes
import os
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import lru_cache, partial
from typing import Any, Literal

import fsspec
from botocore.exceptions import ParamValidationError  # type: ignore[import-untyped]

from restore.disk import Admit, Entry, Fetched, require_same
from restore.errors import StorageConfigError
from restore.retry import http_status, retrying

S3_SCHEMES = frozenset({"s3", "s3a"})
CREATE_CONDITIONALLY = S3_SCHEMES | {"gs", "gcs", "abfs", "abfss", "az"}
"""Schemes whose file system turns mode="create" into a conditional request, read in their sources:
s3fs If-None-Match, gcsfs ifGenerationMatch=0, adlfs overwrite=False."""

_MEDIA_TYPE = {"s3": "ContentType", "gs": "content_type"}  # adlfs releases differ in taking any

CONNECT_SECONDS, READ_SECONDS = 5, 30
BOTOCORE_ATTEMPTS = 6
"""For what pyarrow reads by itself; our own calls are tried again by `restore.retry` and nowhere else."""


class S3Store:
    """Objects of S3 and of stores that speak it."""

    def __init__(self, fs: Any) -> None:
        self.fs = fs

    def get(self, path: str, admit: Admit) -> Fetched:
        """Read one object; bytes and ETag come with one response, so they belong together."""
        bucket, _, key = path.partition("/")
        response = self._call("get_object", bucket, Key=key)
        body = response["Body"]
        try:
            version = etag(response["ETag"])
            admit(response["ContentLength"], version)
            return Fetched(asyncio.run_coroutine_threadsafe(body.read(), self.fs.loop).result(), version)
        finally:
            self.fs.loop.call_soon_threadsafe(body.close)

    def version(self, path: str) -> str | None:
        """The ETag of one object; None where there is none."""
        bucket, _, key = path.partition("/")
        try:
            return etag(self._call("head_object", bucket, Key=key)["ETag"])
        except FileNotFoundError:
            return None

    def create(self, path: str, data: bytes) -> None:
        """Put one object unless its name is taken; above 100 MB the last of several requests decides.

        Raises:
            FileExistsError: when the name is taken.
        """
        _put(self.fs, path, data, mode="create")

    def replace(self, path: str, data: bytes) -> None:
        """Put one object, replacing the one of that name."""
        _put(self.fs, path, data, mode="overwrite")

    def remove(self, path: str) -> None:
        """Delete one object; S3 does not mind a missing one."""
        bucket, _, key = path.partition("/")
        self._call("delete_object", bucket, Key=key)

    def walk(self, folder: str) -> Iterator[Entry]:
        """All objects whose keys start with `folder/`, page by page."""
        bucket, prefix = _folder(folder)
        for page in self._pages(bucket, prefix, delimiter=""):
            for item in page.get("Contents", ()):
                path = item["Key"][len(prefix) :]
                yield Entry(path, item["Size"], etag(item["ETag"]), item["LastModified"].astimezone(UTC))

    def children(self, folder: str) -> set[str]:
        """Names directly below `folder/`."""
        bucket, prefix = _folder(folder)
        found: set[str] = set()
        for page in self._pages(bucket, prefix, delimiter="/"):
            found.update(item["Key"][len(prefix) :] for item in page.get("Contents", ()))
            found.update(item["Prefix"][len(prefix) : -1] for item in page.get("CommonPrefixes", ()))
        return found - {""}

    def versions_in(self, folder: str) -> Iterator[tuple[str, str]]:
        """Name and version of each object directly below `folder/`, page by page."""
        bucket, prefix = _folder(folder)
        for page in self._pages(bucket, prefix, delimiter="/"):
            for item in page.get("Contents", ()):
                yield item["Key"][len(prefix) :], etag(item["ETag"])

    def _pages(self, bucket: str, prefix: str, delimiter: str) -> Iterator[dict[str, Any]]:
        wanted = {"Prefix": prefix, "Delimiter": delimiter}
        while True:
            list_page = partial(self._call, "list_objects_v2", bucket, **wanted)
            page = retrying(f"s3://{bucket}/{prefix}", list_page)
            yield page
            if not page.get("IsTruncated"):
                return
            wanted["ContinuationToken"] = page["NextContinuationToken"]

    def _call(self, method: str, bucket: str, **parameters: str) -> Any:
        try:
            return self.fs.call_s3(method, Bucket=bucket, **parameters)
        except ParamValidationError as error:
            raise _unnameable(bucket) from error


class ObjectStore:
    """Objects of Google Cloud Storage and Azure Blob Storage, through gcsfs and adlfs."""

    def __init__(self, fs: Any) -> None:
        self.fs = fs

    def get(self, path: str, admit: Admit) -> Fetched:
        """Read one object; its version is asked for before and after."""
        before = self.fs.info(path)
        if before["type"] != "file":
            raise FileNotFoundError(errno.ENOENT, "not an object", path)
        version = token(before)
        admit(before["size"], version)
        data = self.fs.cat_file(path)
        require_same(path, version, token(self.fs.info(path)))
        return Fetched(data, version)

    def version(self, path: str) -> str | None:
        """The version of one object; None where there is none."""
        try:
            info = self.fs.info(path)
        except FileNotFoundError:
            return None
        return token(info) if info["type"] == "file" else None

    def create(self, path: str, data: bytes) -> None:
        """Write one object unless its name is taken, else FileExistsError."""
        _put(self.fs, path, data, mode="create")

    def replace(self, path: str, data: bytes) -> None:
        """Write one object, replacing the one of that name."""
        _put(self.fs, path, data, mode="overwrite")

    def remove(self, path: str) -> None:
        """Delete one object; a missing one is fine."""
        try:
            self.fs.rm_file(path)
        except FileNotFoundError:
            return

    def walk(self, folder: str) -> Iterator[Entry]:
        """All objects below `folder`; the whole listing is held in memory by fsspec."""
        for path, info in retrying(folder, lambda: self.fs.find(folder, detail=True)).items():
            yield Entry(path[len(folder) + 1 :], info["size"], token(info), _modified(info))

    def children(self, folder: str) -> set[str]:
        """Names directly below `folder`."""
        return {path.rstrip("/").rpartition("/")[2] for path, _ in self._listed(folder)}

    def versions_in(self, folder: str) -> Iterator[tuple[str, str]]:
        """Name and version of each object directly below `folder`."""
        for path, info in self._listed(folder):
            if info["type"] == "file":
                yield path[len(folder) + 1 :], token(info)

    def _listed(self, folder: str) -> Iterator[tuple[str, dict[str, Any]]]:
        try:
            yield from ((i["name"], i) for i in retrying(folder, lambda: self.fs.ls(folder, detail=True)))
        except FileNotFoundError:
            return


def object_store(scheme: str) -> S3Store | ObjectStore:
    """The store behind a scheme, connected once per process.

    Endpoint and credentials come from the environment, so that no name or pickle holds them.

    Raises:
        StorageConfigError: when the scheme's library is not installed.
    """
    fs = filesystem(scheme, botocore_attempts=1)
    if scheme not in S3_SCHEMES:
        return ObjectStore(fs)
    fs.retries = 1
    return S3Store(fs)


def filesystem(scheme: str, botocore_attempts: int) -> Any:
    """The fsspec file system behind a scheme; one per process, since its event loop survives no fork."""
    return _filesystem(scheme, botocore_attempts, os.getpid())


@lru_cache
def _filesystem(scheme: str, botocore_attempts: int, pid: int) -> Any:
    options: dict[str, Any] = {"use_listings_cache": False, "skip_instance_cache": True}
    if scheme in S3_SCHEMES:
        options["config_kwargs"] = {
            "connect_timeout": CONNECT_SECONDS,
            "read_timeout": READ_SECONDS,
            "max_pool_connections": 64,
            "retries": {"mode": "standard", "total_max_attempts": botocore_attempts},
        }
    try:
        return fsspec.filesystem(scheme, **options)
    except ImportError as error:
        raise StorageConfigError(f"{scheme}:// needs a library that is not installed: {error}") from error


def etag(text: str) -> str:
    """An ETag without its quotes, which some listings have and some headers lack."""
    return text.strip('"')


def token(info: dict[str, Any]) -> str:
    """The version of an object as fsspec describes it: a generation or an ETag."""
    return etag(str(info.get("generation") or info.get("etag") or info["ETag"]))


def _put(fs: Any, path: str, data: bytes, mode: Literal["create", "overwrite"]) -> None:
    """Write, saying FileExistsError also for stores whose 412 does not name the failed condition."""
    try:
        fs.pipe_file(path, data, mode=mode, **_media_type(fs, path))
    except ParamValidationError as error:
        raise _unnameable(path) from error
    except OSError as error:
        if http_status(error) == 412:
            raise FileExistsError(errno.EEXIST, "name is taken", path) from error
        raise


def _media_type(fs: Any, path: str) -> dict[str, str]:
    """How a store is told what a name's ending says, so that browsers show pictures and pages from it."""
    media_type = mimetypes.guess_type(path.rpartition("/")[2])[0]
    parameter = _MEDIA_TYPE.get(fs.protocol if isinstance(fs.protocol, str) else fs.protocol[0])
    return {parameter: media_type} if parameter and media_type else {}


def _unnameable(path: str) -> FileNotFoundError:
    return FileNotFoundError(errno.ENOENT, "no bucket or key can have this name", path)


def _folder(path: str) -> tuple[str, str]:
    bucket, _, key = path.partition("/")
    return bucket, f"{key}/" if key else ""


def _modified(info: dict[str, Any]) -> datetime:
    for name in ("mtime", "last_modified", "LastModified", "updated", "created"):
        value = info.get(name)
        if isinstance(value, str):
            value = datetime.fromisoformat(value)
        if isinstance(value, datetime):
            return value.astimezone(UTC) if value.tzinfo else value.replace(tzinfo=UTC)
    raise KeyError(f"no time of change among {sorted(info)}")

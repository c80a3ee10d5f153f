"""Amazon S3 and the stores that speak its protocol, through s3fs by S3's own calls.

No retries here but in listings, page by page.
"""

from __future__ import annotations

import asyncio
import errno
import re
from collections.abc import Awaitable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any, Literal, TypeVar

from botocore.exceptions import ParamValidationError  # type: ignore[import-untyped]

from restore.storage.base import BeforeRead, Entry, Fetched
from restore.storage.integrity import require_announced, require_kept
from restore.storage.object_store import ObjectStore, Page, media_type, tag, unnameable
from restore.storage.retry import PATIENCE, Damaged, http_status, patience, retrying

T = TypeVar("T")

_MD5 = re.compile("[0-9a-f]{32}")


@dataclass(frozen=True, slots=True)
class Upload:
    """A multipart upload that was begun and not ended: its parts cost money and no listing shows them."""

    path: str
    upload_id: str
    begun: datetime


class S3Store(ObjectStore):
    """Objects of S3. `fs` is s3fs's file system; its own retries are turned off."""

    scheme = "s3"

    def __init__(self, fs: Any) -> None:
        fs.retries = 1  # `restore.storage.retry` alone retries
        self._fs = fs

    def get(self, path: str, check_before_read: BeforeRead) -> Fetched:
        """Read one object; bytes and ETag come with one response."""
        bucket, _, key = path.partition("/")
        response = self._call("get_object", bucket, Key=key)
        body = response["Body"]
        try:
            version, size = tag(response["ETag"]), response["ContentLength"]
            check_before_read(size, version)
            data = self._within(patience(size), body.read())
        finally:
            self._fs.loop.call_soon_threadsafe(body.close)
        md5 = _md5(bucket, response)
        if not data and md5 is None:  # an answer that lost its body announces no bytes either
            size = self._call("head_object", bucket, Key=key)["ContentLength"]
        require_announced(path, data, size=size, md5=md5)
        return Fetched(data, version)

    def version(self, path: str) -> str | None:
        """The ETag of one object; None where there is none."""
        bucket, _, key = path.partition("/")
        try:
            return tag(self._call("head_object", bucket, Key=key)["ETag"])
        except FileNotFoundError:
            return None
        except OSError as error:
            if http_status(error) != 400:
                raise
        # An answer to HEAD has no body to say why, such as that a token has expired.
        response = self._call("get_object", bucket, Key=key)
        self._fs.loop.call_soon_threadsafe(response["Body"].close)
        return tag(response["ETag"])

    def create(self, path: str, data: bytes) -> None:
        """Put one object unless its name is taken (If-None-Match), else FileExistsError.

        Above 100 MB s3fs sends parts, and the last of several requests decides.
        """
        self._put(path, data, mode="create")

    def replace(self, path: str, data: bytes) -> None:
        """Put one object, replacing the one of that name."""
        self._put(path, data, mode="overwrite")

    def remove(self, path: str) -> None:
        """Delete one object; S3 does not mind a missing one."""
        bucket, _, key = path.partition("/")
        self._call("delete_object", bucket, Key=key)

    def page(self, bucket: str, prefix: str, delimiter: str, after: str | None) -> Page:
        """One page of list_objects_v2."""
        more = {"ContinuationToken": after} if after else {}
        answer = self._call("list_objects_v2", bucket, Prefix=prefix, Delimiter=delimiter, **more)
        if any("ETag" not in item for item in answer.get("Contents", ())):
            raise Damaged(None, "an entry of the listing has no ETag", bucket)
        return Page(
            entries=[
                Entry(item["Key"], item["Size"], tag(item["ETag"]), item["LastModified"].astimezone(UTC))
                for item in answer.get("Contents", ())
            ],
            folders=[item["Prefix"] for item in answer.get("CommonPrefixes", ())],
            next=_next_page(bucket, answer),
        )

    def uploads(self, folder: str) -> Iterator[Upload]:
        """Multipart uploads of keys below `folder` that were begun and not ended, page by page."""
        bucket, _, key = folder.partition("/")
        prefix = f"{key}/" if key else ""
        more: dict[str, str] = {}
        while True:
            ask = partial(self._call, "list_multipart_uploads", bucket, Prefix=prefix, **more)
            answer = retrying(f"s3://{folder}", ask)
            for item in answer.get("Uploads", ()):
                begun = item["Initiated"].astimezone(UTC)
                yield Upload(item["Key"][len(prefix) :], item["UploadId"], begun)
            if not answer.get("IsTruncated"):
                return
            more = {"KeyMarker": answer["NextKeyMarker"], "UploadIdMarker": answer["NextUploadIdMarker"]}

    def abort(self, path: str, upload_id: str) -> None:
        """Drop the parts of an unfinished upload; one that has ended since is fine."""
        bucket, _, key = path.partition("/")
        try:
            self._call("abort_multipart_upload", bucket, Key=key, UploadId=upload_id)
        except FileNotFoundError:
            return

    def _put(self, path: str, data: bytes, mode: Literal["create", "overwrite"]) -> None:
        """Write, saying FileExistsError also for stores whose 412 does not name the failed condition."""
        kind = {"ContentType": found} if (found := media_type(path)) else {}
        writing = self._fs._pipe_file(path, data, mode=mode, **kind)
        try:
            self._require_kept(path, data, self._within(patience(len(data)), writing))
        except ParamValidationError as error:
            raise unnameable(path) from error
        except OSError as error:
            if http_status(error) == 412:
                raise FileExistsError(errno.EEXIST, "name is taken", path) from error
            raise

    def _require_kept(self, path: str, data: bytes, answer: dict[str, Any] | None) -> None:
        """Hold the answer to a write against the data. Several parts have none, and some ETags are no MD5."""
        bucket, _, key = path.partition("/")
        version = tag(answer["ETag"]) if answer and "ETag" in answer else None
        md5 = _md5(bucket, answer) if answer and version else None
        size = None if md5 else self._call("head_object", bucket, Key=key)["ContentLength"]
        require_kept(path, data, size=size, md5=md5, version=version)

    def _call(self, method: str, bucket: str, **parameters: str) -> Any:
        try:
            return self._within(PATIENCE, self._fs._call_s3(method, Bucket=bucket, **parameters))
        except ParamValidationError as error:
            raise unnameable(bucket) from error

    def _within(self, seconds: float, work: Awaitable[T]) -> T:
        """What `work` gives, or TimeoutError: sockets' own timeouts begin anew with every byte."""

        async def bounded() -> T:
            return await asyncio.wait_for(work, seconds)

        return asyncio.run_coroutine_threadsafe(bounded(), self._fs.loop).result()


def _md5(bucket: str, answer: dict[str, Any]) -> str | None:
    """The MD5 that an ETag is. None for parts, for keys of KMS or customers, and in directory buckets."""
    encrypted = answer.get("SSECustomerAlgorithm") or "kms" in answer.get("ServerSideEncryption", "")
    etag = tag(answer["ETag"])
    return etag if _MD5.fullmatch(etag) and not encrypted and not bucket.endswith("-x-s3") else None


def _next_page(bucket: str, answer: dict[str, Any]) -> str | None:
    """What asks for the next page. A listing cut off without it would pass for a whole one."""
    if not answer.get("IsTruncated"):
        return None
    token: str | None = answer.get("NextContinuationToken")
    if not token:
        raise Damaged(None, "the listing goes on, and nothing names its next page", bucket)
    return token

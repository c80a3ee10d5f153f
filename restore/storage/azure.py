"""Azure Blob Storage: adlfs connects, Microsoft's own client reads and writes. No retries here."""

from __future__ import annotations

import asyncio
import errno
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from contextlib import contextmanager
from datetime import UTC
from typing import Any, TypeVar

from azure.core import exceptions as azure
from azure.storage.blob import BlobProperties, ContentSettings
from azure.storage.blob.aio import BlobClient

from restore.errors import StorageConfigError
from restore.storage.base import BeforeRead, Entry, Fetched, require_same
from restore.storage.integrity import require_announced, require_kept
from restore.storage.object_store import ObjectStore, Page, media_type, split, tag, unnameable
from restore.storage.retry import answered, patience

PAGE = 5000
"""Blobs of one page of a listing; the most that the service gives."""

CALL: dict[str, Any] = {"retry_total": 0, "connection_timeout": 5, "read_timeout": 30}
"""Of each request: `restore.storage.retry` tries again, at shorter intervals than the client would."""

ONE_REQUEST = 64 * 2**20
"""Bytes up to which the client sends a blob whole; a larger one goes in blocks."""

T = TypeVar("T")


class AzureStore(ObjectStore):
    """Blobs of one storage account, containers being buckets; a version is the ETag."""

    scheme = "az"

    def __init__(self, fs: Any) -> None:
        self._fs = fs

    def get(self, path: str, check_before_read: BeforeRead) -> Fetched:
        """Read one blob; later ranges of a large one are asked for under the first one's ETag."""

        async def read(blob: BlobClient) -> Fetched:
            stream = await blob.download_blob(**CALL)
            version = tag(stream.properties.etag)
            check_before_read(stream.properties.size, version)
            try:
                reading = asyncio.wait_for(stream.readall(), patience(stream.properties.size))
                data = await reading
                require_announced(path, data, size=stream.properties.size, md5=_md5(stream.properties))
                return Fetched(data, version)
            except azure.ResourceModifiedError:
                require_same(path, version, "another")
                raise

        return self._with_blob(path, read)

    def version(self, path: str) -> str | None:
        """The ETag of one blob; None where there is none."""

        async def ask(blob: BlobClient) -> str:
            return tag((await blob.get_blob_properties(**CALL)).etag)

        try:
            return self._with_blob(path, ask)
        except FileNotFoundError:
            return None

    def create(self, path: str, data: bytes) -> None:
        """Write one blob unless its name is taken (If-None-Match), else FileExistsError.

        Above 64 MB the client sends blocks, and the last of several requests decides.
        """
        self._upload(path, data, overwrite=False)

    def replace(self, path: str, data: bytes) -> None:
        """Write one blob, replacing the one of that name."""
        self._upload(path, data, overwrite=True)

    def remove(self, path: str) -> None:
        """Delete one blob; a missing one is fine."""
        try:
            self._with_blob(path, lambda blob: blob.delete_blob(**CALL))
        except FileNotFoundError:
            return

    def page(self, bucket: str, prefix: str, delimiter: str, after: str | None) -> Page:
        """One page of List Blobs. The folders that hierarchical accounts list as blobs are left out."""
        if not bucket:
            raise unnameable(bucket)
        return self._run(bucket, self._page(bucket, prefix, delimiter, after))

    async def _page(self, bucket: str, prefix: str, delimiter: str, after: str | None) -> Page:
        async with self._fs.service_client.get_container_client(bucket) as container:
            wanted = {"name_starts_with": prefix or None, "include": ["metadata"], "results_per_page": PAGE}
            listing = (
                container.walk_blobs(delimiter=delimiter, **wanted, **CALL)
                if delimiter
                else container.list_blobs(**wanted, **CALL)
            )
            pages = listing.by_page(continuation_token=after)
            found = [blob async for blob in await anext(pages)]
        blobs = [blob for blob in found if isinstance(blob, BlobProperties)]
        return Page(
            entries=[_entry(blob) for blob in blobs if not _is_folder(blob)],
            folders=[blob.name for blob in found if not isinstance(blob, BlobProperties)],
            next=pages.continuation_token,
        )

    def _upload(self, path: str, data: bytes, overwrite: bool) -> None:
        kind = ContentSettings(content_type=media_type(path))

        async def write(blob: BlobClient) -> None:
            answer = await blob.upload_blob(data, overwrite=overwrite, content_settings=kind, **CALL)
            # The answer to a list of blocks gives the MD5 of that list.
            md5 = bytes(answer.get("content_md5") or b"").hex() if len(data) <= ONE_REQUEST else ""
            size = None if md5 else (await blob.get_blob_properties(**CALL)).size
            require_kept(path, data, size=size, md5=md5 or None, version=tag(answer["etag"]))

        self._with_blob(path, write)

    def _with_blob(self, path: str, work: Callable[[BlobClient], Awaitable[T]]) -> T:
        container, key = split(path)

        async def call() -> T:
            async with self._fs.service_client.get_blob_client(container, key) as blob:
                return await work(blob)

        return self._run(path, call())

    def _run(self, path: str, work: Coroutine[Any, Any, T]) -> T:
        with errors_of_storage(path):
            return asyncio.run_coroutine_threadsafe(work, self._fs.loop).result()


def _entry(blob: BlobProperties) -> Entry:
    return Entry(blob.name, blob.size, tag(blob.etag), blob.last_modified.astimezone(UTC))


def _md5(blob: BlobProperties) -> str | None:
    """The MD5 that a blob was uploaded with, in hexadecimal digits; None where it was without."""
    given = blob.content_settings.content_md5
    return bytes(given).hex() if given else None


def _is_folder(blob: BlobProperties) -> bool:
    metadata = {name.lower(): value for name, value in (blob.metadata or {}).items()}
    return metadata.get("hdi_isfolder") == "true"


@contextmanager
def errors_of_storage(path: str) -> Iterator[None]:
    """What Azure's client raises, as the errors that other stores raise."""
    try:
        yield
    except (azure.ServiceRequestError, azure.ServiceResponseError) as error:
        raise ConnectionError(f"{type(error).__name__} at {path}") from error
    except azure.ClientAuthenticationError as error:
        if error.response is None:  # no token could be had: the service was not even asked
            raise StorageConfigError(
                f"az://: no usable credentials ({type(error).__name__}); set "
                "AZURE_STORAGE_CONNECTION_STRING, or AZURE_STORAGE_ACCOUNT_NAME and a key, a service "
                "principal or a managed identity"
            ) from error
        raise answered(path, 403, _code(error)) from error
    except azure.HttpResponseError as error:
        raise _http(path, error) from error


def _http(path: str, error: azure.HttpResponseError) -> OSError:
    code, status = _code(error), error.status_code or 0
    if code == "BlobAlreadyExists":
        return FileExistsError(errno.EEXIST, "name is taken", path)
    if code in {"InvalidResourceName", "InvalidUri", "OutOfRangeInput"}:
        return unnameable(path)
    return answered(path, status, code)


def _code(error: azure.HttpResponseError) -> str:
    """Azure's own word, such as AuthorizationFailure."""
    code = getattr(error, "error_code", None)
    return str(getattr(code, "value", code or ""))

"""Azure Blob Storage: what differs from S3, against Azurite; the rest is in test_storage."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from azure.core import exceptions
from azure.identity import CredentialUnavailableError
from azure.storage.blob import BlobClient

from restore.errors import ErrorCode, ItemError, StorageConfigError
from restore.storage import OutStore, azure, fetch, open_input, retry, versions
from restore.storage import filesystems as connections
from restore.storage.uris import Location

WRONG_KEY = base64.b64encode(b"hunter2").decode()


@pytest.fixture
def connect(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], None]]:
    def change(connection: str) -> None:
        monkeypatch.setenv("AZURE_STORAGE_CONNECTION_STRING", connection)
        connections._filesystem.cache_clear()

    yield change
    monkeypatch.undo()
    connections._filesystem.cache_clear()


@pytest.mark.heavy
def test_a_missing_container(azurite: Any) -> None:
    with pytest.raises(StorageConfigError, match="az://no-such-container/out: there is no such bucket"):
        OutStore.open("az://no-such-container/out").check()
    uri = "az://no-such-container/a.png"
    assert versions([uri]) == {uri: None}
    with pytest.raises(FileNotFoundError):
        open_input(uri)
    for bad in (uri, "az://Not A Container/a", "az://container-only", "az://"):
        with pytest.raises(ItemError, match="does not exist"):
            fetch(bad, version=None, missing=ErrorCode.IMAGE_NOT_FOUND)


@pytest.mark.heavy
def test_a_wrong_key(azurite: Any, connect: Callable[[str], None]) -> None:
    container = azurite.fresh_bucket()
    connection = azurite.env["AZURE_STORAGE_CONNECTION_STRING"]
    connect(";".join(f"AccountKey={WRONG_KEY}" if "Key=" in part else part for part in connection.split(";")))
    with pytest.raises(StorageConfigError, match=r"access denied \(AuthorizationFailure\)") as raised:
        OutStore.open(f"az://{container}/out").check()
    with pytest.raises(StorageConfigError, match=r"may not be read \(.*\)"):
        open_input(f"az://{container}/manifest.csv")
    with pytest.raises(ItemError) as denied:
        fetch(f"az://{container}/a.png", version=None, missing=ErrorCode.IMAGE_NOT_FOUND)
    assert denied.value.code is ErrorCode.STORAGE_DENIED
    assert WRONG_KEY not in str(raised.value) + str(denied.value)


@pytest.mark.heavy
def test_a_long_listing_is_read_page_by_page(azurite: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(azure, "PAGE", 10)
    store = OutStore.open(f"az://{azurite.fresh_bucket()}")
    for number in range(25):
        store.create(f"scans/{number:02}.png", bytes([number]))
        store.create(f"deep/{number}/a", b"")
    assert [entry.path for entry in store.list("scans")] == [f"scans/{n:02}.png" for n in range(25)]
    assert len(store.names("deep")) == 25
    uris = [f"{store.root}/scans/{number:02}.png" for number in range(26)]
    assert [uri for uri, version in versions(uris).items() if version is None] == uris[25:]


@pytest.mark.heavy
def test_large_blobs_are_created_conditionally_too(azurite: Any) -> None:
    store = OutStore.open(f"az://{azurite.fresh_bucket()}")
    large = bytes(70 * 2**20)  # from 64 MB on the client sends blocks
    assert store.create("large.tif", large).existing is None
    assert store.create("large.tif", large[:-1] + b"x").existing == large


@pytest.mark.heavy
def test_a_blob_that_changes_while_it_is_read(azurite: Any) -> None:
    container = azurite.fresh_bucket()
    OutStore.open(f"az://{container}").create("large.tif", bytes(40 * 2**20))  # read in two ranges
    reader, path = connections.object_store(Location.of(f"az://{container}/large.tif"))
    connection = azurite.env["AZURE_STORAGE_CONNECTION_STRING"]

    def meddle(size: int, version: str) -> None:
        with BlobClient.from_connection_string(connection, container, "large.tif") as blob:
            blob.upload_blob(b"new", overwrite=True)

    with pytest.raises(ItemError) as raised:
        reader.get(path, meddle)
    assert raised.value.code is ErrorCode.CHANGED_DURING_RUN


@pytest.mark.heavy
def test_an_object_has_its_media_type(azurite: Any) -> None:
    store = OutStore.open(f"az://{azurite.fresh_bucket()}")
    store.create("images/a.png", b"x")
    fs, path = connections.filesystem(Location.of(f"{store.root}/images/a.png"))
    assert fs.info(path)["content_settings"]["content_type"] == "image/png"


@pytest.mark.heavy
def test_a_uri_that_names_another_account_is_refused(azurite: Any) -> None:
    with pytest.raises(StorageConfigError, match="is another account than the one"):
        OutStore.open("abfs://scans@elsewhere.dfs.core.windows.net/out").check()


def test_the_account_may_be_named_in_the_uri_or_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    connections._filesystem.cache_clear()
    monkeypatch.delenv("AZURE_STORAGE_CONNECTION_STRING", raising=False)
    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_KEY", WRONG_KEY)
    fs, path = connections.filesystem(Location.of("abfs://scans@elsewhere.dfs.core.windows.net/out/a b"))
    assert (fs.service_client.url, path) == ("https://elsewhere.blob.core.windows.net/", "scans/out/a b")
    with pytest.raises(StorageConfigError, match="AZURE_STORAGE_ACCOUNT_NAME") as raised:
        connections.filesystem(Location.of("az://scans/out"))
    assert WRONG_KEY not in str(raised.value)


class Answer:
    """As much of an HTTP answer as Azure's errors look at."""

    def __init__(self, status: int) -> None:
        self.status_code, self.reason, self.headers, self.content_type = status, "", {}, ""

    def text(self) -> str:
        return ""


def answer(status: int, code: str) -> None:
    """What Azure's client makes of an answer of the service."""
    kinds = {404: exceptions.ResourceNotFoundError, 409: exceptions.ResourceExistsError}
    error = kinds.get(status, exceptions.HttpResponseError)(response=Answer(status))
    error.error_code = code
    raise error


@pytest.mark.parametrize(
    ("status", "code", "kind", "passes"),
    [
        (403, "AuthorizationFailure", PermissionError, False),
        (404, "BlobNotFound", FileNotFoundError, False),
        (409, "BlobAlreadyExists", FileExistsError, False),
        (409, "ContainerBeingDeleted", retry.Answered, True),
        (400, "InvalidResourceName", FileNotFoundError, False),
        (400, "InvalidHeaderValue", retry.Answered, False),
        (503, "ServerBusy", retry.Answered, True),
    ],
)
def test_answers_become_the_errors_of_all_stores(
    status: int, code: str, kind: type[OSError], passes: bool
) -> None:
    with pytest.raises(kind) as raised, azure.errors_of_storage("archive/a.png"):
        answer(status, code)
    assert retry.describe(raised.value) in {code, kind.__name__}
    assert retry.is_transient(raised.value) is passes


@pytest.mark.parametrize("kind", [exceptions.ServiceRequestError, exceptions.ServiceResponseTimeoutError])
def test_without_an_answer_it_is_tried_again(kind: type[exceptions.AzureError]) -> None:
    with pytest.raises(ConnectionError) as raised, azure.errors_of_storage("archive/a.png"):
        raise kind("host")
    assert retry.is_transient(raised.value)


def test_no_credentials() -> None:
    expected = pytest.raises(StorageConfigError, match="AZURE_STORAGE_CONNECTION_STRING")
    with expected as raised, azure.errors_of_storage("archive/a.png"):
        raise CredentialUnavailableError("client_secret=hunter2")
    assert "hunter2" not in str(raised.value)


def test_folders_that_are_listed_as_blobs_are_no_objects() -> None:
    folder = azure.BlobProperties(name="a", metadata={"Hdi_isfolder": "true"})
    assert azure._is_folder(folder) and not azure._is_folder(azure.BlobProperties(name="a.png"))

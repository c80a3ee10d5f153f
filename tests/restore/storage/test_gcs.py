"""Google Cloud Storage: what differs from S3, against a server of its API; the rest is in test_storage."""

from __future__ import annotations

from typing import Any

import google.auth.exceptions
import pytest
import requests
from gcsfs.retry import HttpError, validate_response

from restore.errors import ErrorCode, ItemError, StorageConfigError
from restore.storage import OutStore, fetch, gcs, retry, versions
from restore.storage import filesystems as connections
from restore.storage.uris import Location


def test_a_missing_bucket(gcs: Any) -> None:
    with pytest.raises(StorageConfigError, match="gs://no-such-bucket/out: there is no such bucket"):
        OutStore.open("gs://no-such-bucket/out").check()
    uri = "gs://no-such-bucket/a.png"
    assert versions([uri]) == {uri: None}
    with pytest.raises(ItemError, match="does not exist"):
        fetch(uri, version=None, missing=ErrorCode.IMAGE_NOT_FOUND)


def test_a_long_listing_is_read_page_by_page(gcs: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("restore.storage.gcs.PAGE", 10)
    store = OutStore.open(f"gs://{gcs.fresh_bucket()}")
    for number in range(25):
        store.create(f"scans/{number:02}.png", bytes([number]))
        store.create(f"deep/{number}/a", b"")
    assert [entry.path for entry in store.list("scans")] == [f"scans/{n:02}.png" for n in range(25)]
    assert len(store.names("deep")) == 25
    uris = [f"{store.root}/scans/{number:02}.png" for number in range(26)]
    assert [uri for uri, version in versions(uris).items() if version is None] == uris[25:]


def test_a_large_object_is_created_by_one_conditional_request(gcs: Any) -> None:
    store = OutStore.open(f"gs://{gcs.fresh_bucket()}")
    large = bytes(60 * 2**20)  # gcsfs alone would send this in parts
    assert store.create("large.tif", large).existing is None
    assert store.create("large.tif", large[:-1] + b"x").existing == large


def test_a_version_is_the_generation(gcs: Any) -> None:
    store = OutStore.open(f"gs://{gcs.fresh_bucket()}")
    store.create("a", b"same bytes")
    before = versions([f"{store.root}/a"])
    store.overwrite("a", b"same bytes")
    assert versions([f"{store.root}/a"]) != before


def test_an_object_has_its_media_type(gcs: Any) -> None:
    store = OutStore.open(f"gs://{gcs.fresh_bucket()}")
    store.create("images/a.png", b"x")
    fs, path = connections.filesystem(Location.of(f"{store.root}/images/a.png"))
    assert fs.info(path)["contentType"] == "image/png"


def answer(status: int, message: str) -> None:
    """What gcsfs makes of an answer of the service."""
    body = f'{{"error": {{"message": "{message}", "code": {status}}}}}'.encode()
    validate_response(status, body, "b/archive/o/{}", ["a.png"])


@pytest.mark.parametrize(
    ("status", "message", "kind", "words", "passes"),
    [
        (403, "secret@example.com does not have access", PermissionError, "HTTP 403", False),
        (401, "Invalid Credentials", PermissionError, "HTTP 401", False),
        (404, "No such object", FileNotFoundError, "FileNotFoundError", False),
        (412, "conditionNotMet", FileExistsError, "FileExistsError", False),
        (400, "invalid bucket name", FileNotFoundError, "FileNotFoundError", False),
        (400, "no", retry.Answered, "HTTP 400", False),
        (429, "slow down", retry.Answered, "HTTP 429", True),
        (503, "backend error", retry.Answered, "HTTP 503", True),
        (502, "bad gateway", ConnectionError, "ConnectionError", True),
    ],
)
def test_answers_become_the_errors_of_all_stores(
    status: int, message: str, kind: type[OSError], words: str, passes: bool
) -> None:
    with pytest.raises(kind) as raised, gcs.errors_of_storage("archive/a.png"):
        answer(status, message)
    assert retry.describe(raised.value) == words and message not in words
    assert retry.is_transient(raised.value) is passes


def test_errors_without_an_answer() -> None:
    for error in (requests.ConnectionError("host"), google.auth.exceptions.TransportError("host")):
        with pytest.raises(ConnectionError) as raised, gcs.errors_of_storage("archive/a.png"):
            raise error
        assert retry.is_transient(raised.value)
    expected = pytest.raises(StorageConfigError, match="GOOGLE_APPLICATION_CREDENTIALS")
    with expected as refused, gcs.errors_of_storage("archive/a.png"):
        raise google.auth.exceptions.DefaultCredentialsError("token=hunter2")
    assert "hunter2" not in str(refused.value)
    with pytest.raises(retry.Answered), gcs.errors_of_storage("archive/a.png"):
        raise HttpError({"message": "no code"})

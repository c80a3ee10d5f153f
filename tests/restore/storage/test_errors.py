"""Errors of stores: which are the photo's own, which the input's store's, and which stop the run."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from botocore import exceptions as boto  # type: ignore[import-untyped]

from restore.errors import ErrorCode, StorageConfigError
from restore.storage import OutStore, fetch, retry, versions
from restore.storage.local import DiskStore
from tests.support.proxies import Proxy
from tests.support.stores import MISSING, code_of

REFUSED_WRITES = [
    (403, "QuotaExceeded"),
    (301, "PermanentRedirect"),
    (400, "InvalidToken"),
    (400, "InvalidRequest"),
    (405, "MethodNotAllowed"),
    (507, "XMinioStorageFull"),
]
DEAD = (
    "ENOTCONN EHOSTDOWN ENODEV ENETDOWN ENETUNREACH EHOSTUNREACH ESTALE EMFILE ENFILE ENOMEM ENOBUFS EIO"
).split()
SPOILT = [
    boto.FlexibleChecksumError(error_msg="flipped"),
    boto.ChecksumError(checksum_type="crc32", expected_checksum="a", actual_checksum="b"),
    aiohttp.ClientPayloadError("Can not decode content-encoding: gzip"),
    retry.Damaged(None, "its MD5 is not its ETag", "a"),
]
UNKNOWN = [
    KeyError("ETag"),
    ValueError("no number"),
    RuntimeError("loop"),
    OSError(errno.EL2HLT, "rare"),
    TypeError(),
]


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retry, "MAX_SECONDS", 0.3)


@pytest.mark.parametrize(("status", "code"), REFUSED_WRITES)
def test_a_store_that_cannot_keep_outputs_stops_the_run(
    s3: Any, proxy: type[Proxy], status: int, code: str
) -> None:
    store = OutStore.open(f"s3://{s3.fresh_bucket()}")
    for write in (store.create, store.overwrite):
        proxy.spoil += [("PUT", (status, code))] * 20
        words = code if status < 500 else ""
        if status < 500:
            with pytest.raises(StorageConfigError, match=words):
                write("images/a.png", b"x")
        else:  # the store is away, and its photos are tried again
            with code_of(ErrorCode.STORAGE_UNAVAILABLE):
                write("images/a.png", b"x")
        proxy.spoil.clear()


def test_a_bucket_that_is_removed_stops_the_run(s3: Any) -> None:
    with pytest.raises(StorageConfigError, match="no such bucket"):
        OutStore.open("s3://no-such-bucket").create("images/a.png", b"x")


def test_names_and_sizes_that_a_store_refuses_are_the_photos_own(
    s3: Any, proxy: type[Proxy], tmp_path: Path
) -> None:
    store = OutStore.open(f"s3://{s3.fresh_bucket()}")
    refusals = {
        (400, "KeyTooLongError"): ErrorCode.INVALID_ROW,
        (400, "EntityTooLarge"): ErrorCode.IMAGE_TOO_LARGE,
        (413, "TooLarge"): ErrorCode.IMAGE_TOO_LARGE,
    }
    for answer, code in refusals.items():
        proxy.spoil += [("PUT", answer)]
        with code_of(code):
            store.create("images/a.png", b"x")
    disk = OutStore.open(str(tmp_path))
    disk.create("a.png", b"a photo whose name another one takes for a folder")
    for name in ("n" * 300, "a.png/b.png"):
        with code_of(ErrorCode.INVALID_ROW):
            disk.create(name, b"x")


@pytest.mark.parametrize(
    ("status", "code", "expected"),
    [
        (301, "PermanentRedirect", ErrorCode.STORAGE_DENIED),
        (400, "InvalidToken", ErrorCode.STORAGE_DENIED),
        (403, "InvalidObjectState", ErrorCode.STORAGE_UNAVAILABLE),
        (507, "Full", ErrorCode.STORAGE_UNAVAILABLE),
    ],
)
def test_answers_for_an_input_are_a_row_that_is_tried_again(
    s3: Any, proxy: type[Proxy], status: int, code: str, expected: ErrorCode
) -> None:
    proxy.spoil += [("GET", (status, code))] * 20
    with code_of(expected) as raised:
        fetch(f"s3://{s3.fresh_bucket()}/a.png", version=None, missing=MISSING)
    assert code in str(raised.value)
    assert ("archive tier" in str(raised.value)) is raised.value.own is (code == "InvalidObjectState")


@pytest.mark.parametrize("name", DEAD)
def test_a_dead_mount_or_a_machine_short_of_something_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    number, calls = getattr(errno, name), []

    def failing(*_: object) -> None:
        calls.append(1)
        raise OSError(number, os.strerror(number))

    for method in ("get", "create"):
        monkeypatch.setattr(DiskStore, method, failing)
    with code_of(ErrorCode.STORAGE_UNAVAILABLE) as raised:
        fetch(str(tmp_path / "a.png"), version=None, missing=MISSING)
    assert len(calls) > 1 and os.strerror(number).lower() in str(raised.value)
    with code_of(ErrorCode.STORAGE_UNAVAILABLE):
        OutStore.open(str(tmp_path)).create("a.png", b"x")


@pytest.mark.parametrize("error", SPOILT, ids=lambda error: type(error).__name__)
def test_bytes_that_are_spoilt_on_their_way_are_asked_for_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    monkeypatch.setattr(retry, "MAX_SECONDS", 30)
    (tmp_path / "a.png").write_bytes(b"whole")
    real, due = DiskStore.get, [error]

    def spoilt_once(self: DiskStore, path: str, check: Any) -> Any:
        if due:
            raise due.pop()
        return real(self, path, check)

    monkeypatch.setattr(DiskStore, "get", spoilt_once)
    assert fetch(str(tmp_path / "a.png"), version=None, missing=MISSING).data == b"whole"
    assert not due


def test_a_write_that_is_spoilt_on_its_way_is_sent_again(
    s3: Any, proxy: type[Proxy], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retry, "MAX_SECONDS", 30)
    proxy.spoil += [("PUT", (400, "BadDigest")), ("PUT", (400, "IncompleteBody"))]
    assert OutStore.open(f"s3://{s3.fresh_bucket()}").create("a.png", b"x").existing is None
    assert not proxy.spoil


@pytest.mark.parametrize("error", UNKNOWN, ids=lambda error: type(error).__name__)
def test_errors_that_no_rule_knows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    def failing(*_: object) -> None:
        raise error

    for method in ("get", "create", "replace", "children", "version"):
        monkeypatch.setattr(DiskStore, method, failing)
    store, word = OutStore.open(str(tmp_path)), type(error).__name__
    words = word if word != "OSError" else os.strerror(errno.EL2HLT).lower()
    with code_of(ErrorCode.STORAGE_UNAVAILABLE) as raised:
        fetch(str(tmp_path / "a.png"), version=None, missing=MISSING)
    assert words in str(raised.value)
    for write in (store.create, store.overwrite):
        with pytest.raises(StorageConfigError, match=words):
            write("a.png", b"x")
    with pytest.raises(StorageConfigError, match=words):
        store.names()


def test_a_file_that_the_disk_cannot_give_does_not_end_the_plan(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in "ab":
        (tmp_path / name).write_bytes(b"x")
    good, bad = str(tmp_path / "a"), str(tmp_path / "b")
    real, broken = DiskStore.version, {bad}

    def failing(self: DiskStore, path: str) -> str | None:
        if path in broken:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return real(self, path)

    monkeypatch.setattr(DiskStore, "version", failing)
    found = versions([good, bad])
    assert found[good] and found[bad] is None
    broken.add(good)
    with pytest.raises(StorageConfigError, match="input/output error"):
        versions([good, bad])

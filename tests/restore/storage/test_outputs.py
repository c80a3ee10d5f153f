"""Outputs: created once, never overwritten, on real stores."""

from __future__ import annotations

import multiprocessing
import pickle
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pyarrow as pa
import pyarrow.dataset
import pyarrow.parquet as pq
import pytest

from restore.storage import OutStore, fetch, versions
from tests.support.proxies import (
    Proxy,
)
from tests.support.stores import MEGABYTE, MISSING, ODD_NAMES


def test_create_never_overwrites(store: OutStore) -> None:
    first = store.create("images/a.png", b"first")
    second = store.create("images/a.png", b"second")
    assert first.existing is None
    assert second.existing == b"first"
    assert store.read("images/a.png") == b"first"


def test_creating_the_same_bytes_again_counts_as_created(store: OutStore) -> None:
    assert store.create("a", b"same") == store.create("a", b"same")


def test_of_many_threads_one_creates(store: OutStore) -> None:
    bodies = [bytes([n]) * MEGABYTE for n in range(8)]
    with ThreadPoolExecutor(8) as pool:
        created = list(pool.map(lambda body: store.create("lease/1.json", body), bodies))
    stored = store.read("lease/1.json")
    assert [c.existing is None for c in created].count(True) == 1
    assert stored == bodies[[c.existing is None for c in created].index(True)]
    assert all(c.existing == stored for c in created if c.existing is not None)


def test_of_many_forked_processes_one_creates(store: OutStore) -> None:
    store.create("before", b"the parent is connected when it forks")
    with multiprocessing.get_context("fork").Pool(4) as pool:
        results = [pool.apply_async(_create_own, (store, n)) for n in range(4)]
        assert sorted(result.get(60) for result in results) == [False, True, True, True]


def _create_own(store: OutStore, number: int) -> bool:
    return store.create("lease/1.json", f"process {number}".encode()).existing is not None


def test_large_objects_are_created_conditionally_too(s3: Any) -> None:
    store = OutStore.open(f"s3://{s3.fresh_bucket()}/out")
    large = bytes(100 * MEGABYTE)  # from here on s3fs sends parts
    assert store.create("large.tif", large).existing is None
    assert "-" in next(store.list()).version, "was not sent in parts"
    assert store.create("large.tif", large[:-1] + b"x").existing == large
    assert not s3.client.list_multipart_uploads(Bucket=store.root.split("/")[2]).get("Uploads")


def test_odd_names_come_back_letter_by_letter(store: OutStore) -> None:
    for number, name in enumerate(ODD_NAMES):
        store.create(name, bytes([number]))
    uris = [f"{store.root}/{name}" for name in ODD_NAMES]
    listed = versions(uris)
    assert {entry.path: (entry.size, entry.version) for entry in store.list("images/")} == {
        name: (1, listed[uri]) for name, uri in zip(ODD_NAMES, uris, strict=True)
    }
    assert store.names("images") == sorted({name.split("/")[1] for name in ODD_NAMES})
    for number, (name, uri) in enumerate(zip(ODD_NAMES, uris, strict=True)):
        assert store.read(name) == bytes([number])
        assert fetch(uri, version=listed[uri], missing=MISSING).data == bytes([number])


def test_overwrite_and_remove(store: OutStore) -> None:
    store.overwrite("lease/1.json", b"one")
    store.overwrite("lease/1.json", b"two")
    assert store.read("lease/1.json") == b"two"
    store.remove("lease/1.json")
    store.remove("lease/1.json")
    with pytest.raises(FileNotFoundError):
        store.read("lease/1.json")
    assert store.names("lease") == [] and list(store.list("lease")) == []


def test_listings_are_never_stale(store: OutStore) -> None:
    for number in range(3):
        store.create(f"lease/{number}.json", b"x")
        assert len(store.names("lease")) == len(list(store.list())) == number + 1


def test_a_path_cannot_leave_the_store(store: OutStore) -> None:
    for path in ("../a", "a/../../b", "/etc/passwd", "a//b", "./a"):
        with pytest.raises(ValueError, match="not a path below"):
            store.create(path, b"")


def test_a_long_listing_is_paged(s3: Any) -> None:
    bucket, client = s3.fresh_bucket(), s3.client
    for number in range(250):
        client.put_object(Bucket=bucket, Key=f"scans/{number:04}.png")
    assert client.list_objects_v2(Bucket=bucket)["IsTruncated"]
    assert len(list(OutStore.open(f"s3://{bucket}").list("scans"))) == 250
    assert len(OutStore.open(f"s3://{bucket}/scans").names()) == 250
    wanted = [f"s3://{bucket}/scans/{number:04}.png" for number in (0, 99, 100, 249, 250)]
    assert [uri for uri, version in versions(wanted).items() if version is None] == wanted[-1:]


def test_a_listing_is_read_as_it_is_used(s3: Any, proxy: type[Proxy]) -> None:
    bucket, client = s3.fresh_bucket(), s3.client
    for number in range(250):
        client.put_object(Bucket=bucket, Key=f"scans/{number:04}.png")
    listing = OutStore.open(f"s3://{bucket}").list("scans")
    requests = [proxy.seen.count("GET") for _ in listing]
    assert requests == [1] * 100 + [2] * 100 + [3] * 50, "one page of 100 at a time"


def test_pyarrow_reads_what_was_created(store: OutStore) -> None:
    table = pa.table({"item_id": ["a", "b"]})
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink)
    store.create("metadata/run=r1/part-00000.parquet", sink.getvalue().to_pybytes())
    filesystem, root = pickle.loads(pickle.dumps(store.arrow_filesystem()))
    read = pyarrow.dataset.dataset(f"{root}/metadata", filesystem=filesystem, partitioning=None)
    assert read.to_table() == table


def test_pickles_hold_no_credentials(s3: Any) -> None:
    store = OutStore.open(f"s3://{s3.fresh_bucket()}/out")
    store.create("a", b"connected")
    data = pickle.dumps((store, store.arrow_filesystem()))
    assert s3.env["AWS_SECRET_ACCESS_KEY"].encode() not in data
    assert pickle.loads(data)[0].read("a") == b"connected"

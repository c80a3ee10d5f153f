"""Stores are real here: a local disk, servers over HTTP, and a proxy that fails on purpose."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.dataset
import pyarrow.parquet as pq
import pytest

from restore.errors import ErrorCode, ItemError, StorageConfigError
from restore.storage import AccessPolicy, OutStore, fetch, is_local, open_input, resolve, retry, versions
from restore.storage import filesystems as connections
from restore.storage.local import DiskStore
from restore.storage.uris import redact
from tests.support.proxies import (
    CUT,
    DRIP,
    DRIP_SECONDS,
    EXPIRED,
    INTERNAL,
    RESET,
    SLOW_DOWN,
    Fault,
    Proxy,
    serving,
)

ODD_NAMES = (
    "images/Grüße aus Köln.0123.png",
    "images/100% wahr+falsch & mehr.png",
    "images/a%20b/日本語 (1).tif",
    "images/it's=here,~now;@2x!.jpg",
    "images/.hidden.png",
)
MISSING = ErrorCode.IMAGE_NOT_FOUND
MEGABYTE = 2**20


@pytest.fixture(params=["disk", "s3", "gs", pytest.param("az", marks=pytest.mark.heavy)])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> OutStore:
    if request.param == "disk":
        return OutStore.open(str(tmp_path / "out"))
    server = request.getfixturevalue({"s3": "s3", "gs": "gcs", "az": "azurite"}[request.param])
    return OutStore.open(f"{request.param}://{server.fresh_bucket()}/deep/out")


@contextmanager
def code_of(code: ErrorCode) -> Iterator[pytest.ExceptionInfo[ItemError]]:
    with pytest.raises(ItemError) as raised:
        yield raised
    assert raised.value.code is code, raised.value


@pytest.fixture
def connect(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., None]]:
    """Reconnect with other settings of the environment until the test ends."""

    def change(**settings: str) -> None:
        for name, value in settings.items():
            monkeypatch.setenv(name, value)
        connections._filesystem.cache_clear()

    yield change
    monkeypatch.undo()
    connections._filesystem.cache_clear()


# --- creating ---------------------------------------------------------------------------------


def test_create_never_overwrites(store: OutStore) -> None:
    first = store.create("images/a.png", b"first")
    second = store.create("images/a.png", b"second")
    assert (first.existed, first.existing) == (False, None)
    assert (second.existed, second.existing) == (True, b"first")
    assert store.read("images/a.png") == b"first"


def test_creating_the_same_bytes_again_counts_as_created(store: OutStore) -> None:
    assert store.create("a", b"same") == store.create("a", b"same")


def test_of_many_threads_one_creates(store: OutStore) -> None:
    bodies = [bytes([n]) * MEGABYTE for n in range(8)]
    with ThreadPoolExecutor(8) as pool:
        created = list(pool.map(lambda body: store.create("lease/1.json", body), bodies))
    stored = store.read("lease/1.json")
    assert [not c.existed for c in created].count(True) == 1
    assert stored == bodies[[c.existed for c in created].index(False)]
    assert all(c.existing == stored for c in created if c.existed)


def test_of_many_forked_processes_one_creates(store: OutStore) -> None:
    store.create("before", b"the parent is connected when it forks")
    with multiprocessing.get_context("fork").Pool(4) as pool:
        results = [pool.apply_async(_create_own, (store, n)) for n in range(4)]
        assert sorted(result.get(60) for result in results) == [False, True, True, True]


def _create_own(store: OutStore, number: int) -> bool:
    return store.create("lease/1.json", f"process {number}".encode()).existed


def test_large_objects_are_created_conditionally_too(s3: Any) -> None:
    store = OutStore.open(f"s3://{s3.fresh_bucket()}/out")
    large = bytes(100 * MEGABYTE)  # from here on s3fs sends parts
    assert not store.create("large.tif", large).existed
    assert "-" in next(store.list()).version, "was not sent in parts"
    assert store.create("large.tif", large[:-1] + b"x").existing == large
    assert not s3.client.list_multipart_uploads(Bucket=store.root.split("/")[2]).get("Uploads")


def test_a_killed_writer_leaves_no_name(tmp_path: Path) -> None:
    store = OutStore.open(str(tmp_path))
    code = "import sys; from restore.storage import OutStore; b = bytes(400 << 20); print(flush=True)\n"
    code += "OutStore.open(sys.argv[1]).create('images/a.png', b)"
    child = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE)
    assert child.stdout is not None
    child.stdout.readline()
    while not list(store.list("images")):
        assert child.poll() is None, "the writer ended before it could be killed"
    child.send_signal(signal.SIGKILL)
    child.wait(30)
    assert store.names("images") == []
    leftovers = [entry.path for entry in store.list("images")]
    assert len(leftovers) == 1, "what is left can be found and collected"
    assert not store.create("images/a.png", b"again").existed
    store.remove(leftovers[0])
    assert store.names("images") == ["a.png"]


# --- reading, listing, replacing ---------------------------------------------------------------


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


# --- versions ----------------------------------------------------------------------------------


def test_versions_and_fetch_agree(store: OutStore) -> None:
    names = [f"{folder}/{number}.png" for folder in ("a", "b") for number in range(5)]
    for name in names:
        store.create(name, name.encode())
    uris = [f"{store.root}/{name}" for name in names]
    found = versions([*uris, f"{store.root}/a/none.png", f"{store.root}/none/x.png"])
    missing = {uri for uri, version in found.items() if version is None}
    assert missing == {f"{store.root}/a/none.png", f"{store.root}/none/x.png"}
    for uri in uris:
        assert fetch(uri, version=None, missing=MISSING).version == found[uri] == versions([uri])[uri]


def test_changed_between_listing_and_fetch(store: OutStore) -> None:
    store.create("a.png", b"old")
    uri = f"{store.root}/a.png"
    listed = versions([uri])[uri]
    store.overwrite("a.png", b"new!")
    with code_of(ErrorCode.CHANGED_DURING_RUN) as raised:
        fetch(uri, version=listed, missing=MISSING)
    assert str(listed) in str(raised.value) and str(versions([uri])[uri]) in str(raised.value)


def test_changed_while_it_was_read(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(b"old")

    def meddle(size: int, version: str) -> None:
        path.write_bytes(b"longer than before")

    with code_of(ErrorCode.CHANGED_DURING_RUN):
        DiskStore().get(str(path), meddle)


def test_a_pin_may_keep_the_quotes_of_its_etag(s3: Any) -> None:
    store = OutStore.open(f"s3://{s3.fresh_bucket()}")
    store.create("a", b"x")
    uri = f"{store.root}/a"
    assert fetch(uri, version=f'"{versions([uri])[uri]}"', missing=MISSING).data == b"x"


# --- what may go wrong with one input -------------------------------------------------------------


def test_missing_and_too_large(store: OutStore) -> None:
    store.create("a", bytes(100))
    for name in ("none", "a/below a file", "x" * 3000):
        with code_of(ErrorCode.MASK_NOT_FOUND):
            fetch(f"{store.root}/{name}", version=None, missing=ErrorCode.MASK_NOT_FOUND)
    with code_of(ErrorCode.IMAGE_TOO_LARGE):
        fetch(f"{store.root}/a", version=None, missing=MISSING, max_bytes=99)
    assert len(fetch(f"{store.root}/a", version=None, missing=MISSING, max_bytes=100).data) == 100


@pytest.mark.parametrize("uri", ["s3://no-such-bucket/a.png", "s3://Not A Bucket/a", "s3://bucket-only"])
def test_a_place_that_does_not_exist(s3: Any, uri: str) -> None:
    with code_of(MISSING):
        fetch(uri, version=None, missing=MISSING)
    assert versions([uri, f"{uri}/b", f"{uri}/c", f"{uri}/d", f"{uri}/e"])[uri] is None


def test_what_is_no_regular_file_is_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "socket"))
        for path in (tmp_path, tmp_path / "fifo", tmp_path / "socket", Path("/dev/zero")):
            with code_of(ErrorCode.STORAGE_DENIED):
                fetch(str(path), version=None, missing=MISSING)
            assert versions([str(path)]) == {str(path): None}


# --- transient errors ------------------------------------------------------------------------------


@pytest.fixture
def proxy(s3: Any, connect: Callable[..., None]) -> Iterator[type[Proxy]]:
    class Spoiling(Proxy):
        target = s3.endpoint.removeprefix("http://")
        spoil: list[tuple[str, Fault | None]] = []  # noqa: RUF012
        seen: list[str] = []  # noqa: RUF012

    with serving(Spoiling) as endpoint:
        connect(AWS_ENDPOINT_URL=endpoint)
        yield Spoiling


def test_passing_errors_are_waited_out(s3: Any, proxy: type[Proxy]) -> None:
    bucket = s3.fresh_bucket()
    s3.client.put_object(Bucket=bucket, Key="a.png", Body=b"bytes")
    proxy.spoil += [("GET", 503), ("GET", 500)]
    assert fetch(f"s3://{bucket}/a.png", version=None, missing=MISSING).data == b"bytes"
    proxy.spoil += [("GET", None)]  # the connection is cut instead of an answer
    assert OutStore.open(f"s3://{bucket}").names() == ["a.png"]
    proxy.spoil += [("HEAD", 503), ("HEAD", 429)]
    assert versions([f"s3://{bucket}/a.png"])[f"s3://{bucket}/a.png"]
    assert not proxy.spoil


def test_bodies_that_break_off_and_tokens_that_expire_are_waited_out(s3: Any, proxy: type[Proxy]) -> None:
    bucket, body = s3.fresh_bucket(), bytes(range(256)) * 4000
    s3.client.put_object(Bucket=bucket, Key="a.png", Body=body)
    uri = f"s3://{bucket}/a.png"
    for fault in (RESET, CUT, EXPIRED, SLOW_DOWN, INTERNAL):
        proxy.spoil += [("GET", fault)]
        assert fetch(uri, version=None, missing=MISSING).data == body
        proxy.spoil += [("GET", fault)]
        assert open_input(uri).read() == body, "pyarrow reads on too"
    # botocore itself asks the bucket's region by another HEAD, and the object again when it knows that
    proxy.spoil += [("HEAD", EXPIRED), ("HEAD", EXPIRED), ("GET", EXPIRED)]
    assert versions([uri])[uri], "an answer to HEAD cannot say why it is refused: the next GET does"
    assert not proxy.spoil


def test_a_body_that_drips_is_given_up_and_asked_for_again(
    s3: Any, proxy: type[Proxy], monkeypatch: pytest.MonkeyPatch
) -> None:
    bucket = s3.fresh_bucket()
    s3.client.put_object(Bucket=bucket, Key="a.png", Body=b"x" * 1000)
    monkeypatch.setattr(retry, "PATIENCE", 0.3)
    proxy.spoil += [("GET", DRIP)]
    began = time.monotonic()
    assert fetch(f"s3://{bucket}/a.png", version=None, missing=MISSING).data == b"x" * 1000
    assert time.monotonic() - began < DRIP_SECONDS and proxy.seen.count("GET") == 2


def test_credentials_that_stay_expired_stop_the_run(
    s3: Any, proxy: type[Proxy], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retry, "MAX_SECONDS", 0.5)
    proxy.spoil += [("GET", EXPIRED), ("PUT", EXPIRED)] * 20
    bucket = s3.fresh_bucket()
    with pytest.raises(StorageConfigError, match="no longer valid \\(ExpiredToken\\); renew them"):
        fetch(f"s3://{bucket}/a", version=None, missing=MISSING)
    with pytest.raises(StorageConfigError, match="ExpiredToken"):
        OutStore.open(f"s3://{bucket}").create("a", b"x")
    proxy.spoil.clear()


def test_a_create_whose_answer_was_lost_is_our_own(s3: Any, proxy: type[Proxy]) -> None:
    store = OutStore.open(f"s3://{s3.fresh_bucket()}")
    proxy.spoil += [("PUT", None)]
    assert not store.create("lease/7.json", b"mine").existed
    assert proxy.seen.count("PUT") >= 2 and not proxy.spoil
    proxy.spoil += [("PUT", 409), ("PUT", 503)]
    assert store.create("lease/7.json", b"another's").existing == b"mine"
    assert not proxy.spoil


def test_refusals_are_not_waited_out(s3: Any, proxy: type[Proxy]) -> None:
    uri = f"s3://{s3.fresh_bucket()}/a.png"
    for status in (403, 400):
        proxy.spoil += [("GET", status)]
        with code_of(ErrorCode.STORAGE_DENIED) as raised:
            fetch(uri, version=None, missing=MISSING)
        assert str(status) in str(raised.value)
    assert proxy.seen.count("GET") == 2


def test_where_listing_is_denied_objects_are_asked_one_by_one(s3: Any, proxy: type[Proxy]) -> None:
    store = OutStore.open(f"s3://{s3.fresh_bucket()}")
    uris = [f"{store.root}/{number}.png" for number in range(5)]
    for uri in uris[:4]:
        store.create(uri.rpartition("/")[2], b"x")
    listed = versions(uris)
    for status in (403, 400):
        proxy.spoil += [("GET", status)]
        assert versions(uris) == listed and listed[uris[4]] is None
    assert proxy.seen.count("HEAD") == 10
    proxy.spoil += [("HEAD", 403)]
    assert versions(uris[:1]) == {uris[0]: None}, "its fetch will say why"


def test_waiting_ends(s3: Any, proxy: type[Proxy], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retry, "MAX_SECONDS", 0.5)
    proxy.spoil += [("GET", 503)] * 50
    with code_of(ErrorCode.STORAGE_UNAVAILABLE) as raised:
        fetch(f"s3://{s3.fresh_bucket()}/a", version=None, missing=MISSING)
    assert "503" in str(raised.value) and len(proxy.seen) < 6


# --- stores that cannot serve ----------------------------------------------------------------------


def test_a_good_store_passes_and_keeps_nothing_of_the_check(store: OutStore) -> None:
    store.check()
    assert list(store.list()) == []
    assert store.is_local == is_local(store.root)


@pytest.mark.parametrize("bucket", ["no-such-bucket", "not a bucket", ""])
def test_a_missing_bucket(s3: Any, bucket: str) -> None:
    with pytest.raises(StorageConfigError, match=f"s3://{bucket}/out: there is no such bucket"):
        OutStore.open(f"s3://{bucket}/out").check()


def test_a_wrong_key(start_moto: Any, s3: Any, connect: Callable[..., None]) -> None:
    with start_moto(INITIAL_NO_AUTH_ACTION_COUNT="0") as endpoint:
        connect(AWS_ENDPOINT_URL=endpoint)
        with pytest.raises(StorageConfigError, match=r"access denied .*InvalidAccessKeyId") as raised:
            OutStore.open("s3://archive/out").check()
        with code_of(ErrorCode.STORAGE_DENIED):
            fetch("s3://archive/a.png", version=None, missing=MISSING)
    assert s3.env["AWS_SECRET_ACCESS_KEY"] not in str(raised.value)


def test_no_credentials(s3: Any, connect: Callable[..., None], monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    connect(AWS_SHARED_CREDENTIALS_FILE="/nonexistent", AWS_CONFIG_FILE="/nonexistent")
    for call in (
        OutStore.open("s3://archive").check,
        lambda: fetch("s3://a/b", version=None, missing=MISSING),
    ):
        with pytest.raises(StorageConfigError, match="no usable credentials"):
            call()


def test_an_endpoint_that_does_not_answer(s3: Any, connect: Callable[..., None]) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))  # bound but not listening: connections are refused
        connect(AWS_ENDPOINT_URL=f"http://127.0.0.1:{unused.getsockname()[1]}")
        started = time.monotonic()
        with pytest.raises(StorageConfigError, match=r"EndpointConnectionError.*check the endpoint"):
            OutStore.open("s3://archive/out").check()
        assert time.monotonic() - started < 20


def test_an_endpoint_that_is_no_url(s3: Any, connect: Callable[..., None]) -> None:
    connect(AWS_ENDPOINT_URL="storage.example.com")
    with pytest.raises(StorageConfigError, match="AWS_ENDPOINT_URL is not a URL"):
        OutStore.open("s3://archive/out").check()


def test_a_store_that_ignores_conditions(s3: Any, connect: Callable[..., None]) -> None:
    class Careless(Proxy):
        target = s3.endpoint.removeprefix("http://")
        spoil: list[tuple[str, Fault | None]] = []  # noqa: RUF012
        seen: list[str] = []  # noqa: RUF012

        def do_PUT(self) -> None:  # noqa: N802
            del self.headers["If-None-Match"]
            self.pass_on()

    bucket = s3.fresh_bucket()
    with serving(Careless) as endpoint:
        connect(AWS_ENDPOINT_URL=endpoint)
        with pytest.raises(StorageConfigError, match="ignores create-only writes"):
            OutStore.open(f"s3://{bucket}").check()
    assert "Contents" not in s3.client.list_objects_v2(Bucket=bucket)


@pytest.mark.parametrize("place", ["/proc/nowhere/out", "file/out", "file"])
def test_a_folder_that_cannot_be_made(tmp_path: Path, place: str) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StorageConfigError, match=r"output .*: "):
        OutStore.open(str(tmp_path / place)).check()


@pytest.mark.parametrize(
    "uri", ["http://host/out", "ftp://host/out", "s3://key:hunter2@bucket/out", "zip::s3://b/o"]
)
def test_outputs_that_can_never_serve(uri: str) -> None:
    with pytest.raises(StorageConfigError) as raised:
        OutStore.open(uri)
    assert "hunter2" not in str(raised.value)


# --- access ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "uri",
    [
        "https://user:hunter2@host/a.png",
        "https://hunter2@host/a.png",
        "s3://key:hunter2@bucket/a.png",
        "S3://key:hunter2@bucket/a.png",
        "abfs://container:hunter2@account.dfs.core.windows.net/a.png",
        "https://bucket.s3.amazonaws.com/a.png?X-Amz-Credential=k&X-Amz-Signature=hunter2",
        "https://account.blob.core.windows.net/c/a.png?sv=1&sig=hunter2",
        "https://host/a.png?size=1&access_token=hunter2",
        "HTTPS://host/a.png?apikey=hunter2",
        "simplecache::s3://key:hunter2@bucket/a.png",
        "zip://a.png::https://user:hunter2@host/a.zip",
    ],
)
def test_credentials_in_a_uri_are_refused_and_not_repeated(uri: str) -> None:
    with code_of(ErrorCode.STORAGE_DENIED) as raised:
        AccessPolicy(roots=(), allow_http=True).check(uri)
    assert "hunter2" not in str(raised.value)
    with code_of(ErrorCode.STORAGE_DENIED):  # a plan or row that holds the printable form is refused as well
        AccessPolicy(roots=("/",), allow_http=True).check(redact(uri))
    assert redact(redact(uri)) == redact(uri)


@pytest.mark.parametrize(
    "host", ["evil.example", "169.254.169.254", "a.dfs.core.windows.net.evil.example", "x"]
)
def test_azure_tokens_go_to_azure_alone(host: str) -> None:
    for scheme in ("abfs", "abfss", "az"):
        with code_of(ErrorCode.STORAGE_DENIED):
            AccessPolicy(roots=()).check(f"{scheme}://container@{host}/a.png")
        with pytest.raises(StorageConfigError, match="not Azure's"):
            OutStore.open(f"{scheme}://container@{host}/out")


@pytest.mark.parametrize(
    "uri", ["ftp://h/a", "memory://a", "sftp://h/a", "github://a", "data://x", "zip::/a", "a\0b", "a"]
)
def test_other_schemes_are_refused(uri: str) -> None:
    with code_of(ErrorCode.STORAGE_DENIED):
        AccessPolicy(roots=("/",), allow_http=True).check(uri)


@pytest.mark.parametrize(
    "uri",
    [
        "s3://bucket/a b%+@:ü?#.png",
        "gs://bucket/a",
        "abfs://container@account.dfs.core.windows.net/a@b:c",
        "az://container/a",
        "http://127.0.0.1/a?size=1",
    ],
)
def test_object_stores_and_allowed_http_pass(uri: str) -> None:
    AccessPolicy(roots=(), allow_http=True).check(uri)


def test_http_needs_leave_and_never_reaches_metadata_services() -> None:
    with code_of(ErrorCode.STORAGE_DENIED) as raised:
        AccessPolicy(roots=()).check("https://127.0.0.1/a.png")
    assert "allow_http" in str(raised.value)
    hosts = ["169.254.169.254", "2852039166", "0xa9fea9fe", "100.100.100.200"]
    # in full: a double colon would be refused for a chain
    hosts += ["[fe80:0:0:0:0:0:0:1]", "[fd00:ec2:0:0:0:0:0:254]", "[0:0:0:0:0:ffff:a9fe:a9fe]"]
    hosts += ["[64:ff9b:0:0:0:0:a9fe:a9fe]", "[2002:a9fe:a9fe:0:0:0:0:0]"]
    for host in hosts:
        with code_of(ErrorCode.STORAGE_DENIED) as raised:
            AccessPolicy(roots=(), allow_http=True).check(f"http://{host}/latest/meta-data")
        assert "metadata addresses are not allowed" in str(raised.value)


def test_local_inputs_stay_below_their_roots(tmp_path: Path) -> None:
    inside, outside = tmp_path / "in", tmp_path / "in-secret"
    inside.mkdir()
    outside.mkdir()
    (outside / "a.png").write_bytes(b"secret")
    (inside / "a.png").write_bytes(b"")
    (inside / "link").symlink_to(outside)
    (inside / "loop").symlink_to(inside / "loop")
    assert versions([f"{inside}/loop", f"{inside}/{'n' * 300}"]) == {
        f"{inside}/loop": None,
        f"{inside}/{'n' * 300}": None,
    }
    policy = AccessPolicy(roots=(str(inside.resolve()),))
    policy.check(f"{inside}/a.png")
    policy.check(f"file://{inside}/not there yet.png")
    for path in (f"{inside}/link/a.png", f"{outside}/a.png", f"{inside}/../in-secret/a.png", "file://host/a"):
        with code_of(ErrorCode.STORAGE_DENIED):
            policy.check(path)
    with code_of(MISSING):
        fetch(f"{inside}/loop", version=None, missing=MISSING)


@pytest.mark.parametrize(
    ("uri", "base", "expected"),
    [
        ("scans/a b.png", "/data/manifest.csv", "/data/scans/a b.png"),
        ("./a%20b.png", "file:///data/x/m.csv", "/data/x/a%20b.png"),
        ("../a.png", "/data/x/m.csv", "/data/a.png"),
        ("/abs/../a.png", "s3://bucket/m.csv", "/a.png"),
        ("file:///abs/a.png", "s3://bucket/m.csv", "/abs/a.png"),
        ("a+b%/ü#?.png", "s3://bucket/m.csv", "s3://bucket/a+b%/ü#?.png"),
        ("./x/../a.png", "s3://bucket/deep/er/m.csv", "s3://bucket/deep/er/a.png"),
        ("../../a.png", "s3://bucket/deep/er/m.csv", "s3://bucket/a.png"),
        ("x//a.png", "gs://bucket/m.csv", "gs://bucket/x//a.png"),
        ("s3://other/../a", "s3://bucket/m.csv", "s3://other/../a"),
        ("a.png", "https://host/x/m.csv?b=/c/d", "https://host/x/a.png"),
        ("a:b.png", "/data/m.csv", "/data/a:b.png"),
    ],
)
def test_relative_uris_are_joined_without_url_rules(uri: str, base: str, expected: str) -> None:
    assert resolve(uri, base) == expected


@pytest.mark.parametrize(("uri", "base"), [("", "/m.csv"), ("../a", "s3://bucket/m.csv")])
def test_uris_that_name_nothing(uri: str, base: str) -> None:
    with code_of(ErrorCode.INVALID_ROW):
        resolve(uri, base)


def test_a_manifest_named_without_a_folder_lies_here(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    assert resolve("a.png", "manifest.csv") == str(tmp_path / "a.png")


# --- http ------------------------------------------------------------------------------------------


class Site(BaseHTTPRequestHandler):
    """A few pages; `/away` leads to a metadata service, `/round` to itself."""

    flaky = 1

    def do_GET(self) -> None:
        away = {
            "/away": "http://169.254.169.254/latest/meta-data",
            "/round": "/round",
            "/file": "file:///etc/passwd",
        }
        if self.path in away:
            self.send_response_only(302)
            self.send_header("Location", away[self.path])
        elif self.path == "/a.png":
            self.send_response_only(200)
            self.send_header("ETag", '"v1"')
            self.send_header("Content-Length", "5")
        elif self.path == "/plain" and Site.flaky:
            Site.flaky -= 1
            self.send_response_only(503)
        elif self.path == "/plain":
            self.send_response_only(200)
            self.send_header("Last-Modified", "Mon, 02 Feb 2026 02:02:02 GMT")
            self.send_header("Content-Length", "5")
        elif self.path == "/endless":
            self.send_response_only(200)
        else:
            self.send_response_only(int(self.path[1:]))
        self.end_headers()
        with suppress(OSError):  # the client goes away
            while self.path == "/endless":
                self.wfile.write(bytes(MEGABYTE))
        if self.path in {"/a.png", "/plain"}:
            self.wfile.write(b"bytes")

    def log_message(self, format: str, *args: Any) -> None: ...


def test_http_inputs() -> None:
    with serving(Site) as site:
        assert fetch(f"{site}/a.png", version="v1", missing=MISSING).data == b"bytes"
        found = versions([f"{site}/{name}" for name in ("a.png", "404", "plain", "away", "403")])
        assert [found[f"{site}/{name}"] for name in ("a.png", "404", "away", "403")] == [
            "v1",
            None,
            None,
            None,
        ]
        assert fetch(f"{site}/plain", version=found[f"{site}/plain"], missing=MISSING).data == b"bytes"
        for path, code in {
            "a.png": ErrorCode.CHANGED_DURING_RUN,
            "404": MISSING,
            "403": ErrorCode.STORAGE_DENIED,
            "away": ErrorCode.STORAGE_DENIED,
            "round": ErrorCode.STORAGE_DENIED,
            "file": ErrorCode.STORAGE_DENIED,
        }.items():
            with code_of(code):
                fetch(f"{site}/{path}", version="v0", missing=MISSING)
        with code_of(ErrorCode.IMAGE_TOO_LARGE):
            fetch(f"{site}/a.png", version=None, missing=MISSING, max_bytes=4)
        with code_of(ErrorCode.IMAGE_TOO_LARGE):  # no length is announced, and the body has no end
            fetch(f"{site}/endless", version=None, missing=MISSING, max_bytes=4 * MEGABYTE)


def test_a_base_that_ends_in_a_slash_is_the_folder_itself() -> None:
    assert resolve("demo/m.csv", "/srv/here/") == "/srv/here/demo/m.csv"
    assert resolve("m.csv", "/x.csv") == "/m.csv"

"""Access: which locations may be read."""

from __future__ import annotations

from pathlib import Path

import pytest

from restore.errors import ErrorCode, StorageConfigError
from restore.storage import AccessPolicy, OutStore, fetch, versions
from restore.storage.uris import redact
from tests.support.stores import MISSING, code_of


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
    assert "allow_http" in str(raised.value) and raised.value.own, "no outage of a store"
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

"""A canary in every credential variable and in URIs: nothing that a run leaves behind holds one."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from restore.storage import OutStore
from tests.e2e.test_s3 import rows
from tests.support.archives import make_archive, read_manifest_rows, write_manifest
from tests.support.proxies import serving

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "restore/storage/README.md").read_text()
CANARY = "CANARY"

SECRET_URIS = (
    "s3://AKIA:CANARYs3@bucket/a.png",
    "https://user:CANARYhttp@127.0.0.1:9/a.png",
    "https://host.example/a.png?X-Amz-Signature=CANARYsigned",
    "https://127.0.0.1:9/a.png?token=CANARYtoken",
    "abfs://container:CANARYazure@account.dfs.core.windows.net/a.png",
    "zip://a.png::s3://AKIA:CANARYchained@bucket/a.zip",
    "a.png::https://user:CANARYrelative@host/a.zip",
)
REFUSED_URIS = ("s3://bucket/a.png", "gs://bucket/a.png", "az://container/a.png")


class Echo(BaseHTTPRequestHandler):
    """A store that refuses everything, and echoes each request in its answer."""

    protocol_version = "HTTP/1.1"

    def refuse(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        echoed = f"{self.path} {self.headers}".replace("&", "+").replace("<", "(")
        body = f"<Error><Code>AccessDenied</Code><Message>{echoed}</Message></Error>".encode()
        self.send_response(403, "Forbidden")
        self.send_header("Content-Type", "application/xml")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None: ...

    do_GET = do_PUT = do_HEAD = do_POST = do_DELETE = refuse  # noqa: N815


def canaries(folder: Path, server: str) -> dict[str, str]:
    """Every variable in the page's table of stores, and the hub's token. All but places hold a canary."""
    (table,) = re.findall(r"\| store \| environment \|\n(.*?)\n\n", PAGE, re.DOTALL)
    names = set(re.findall(r"`([A-Z_]{6,})`", table))
    of_client = {name for name in names if name.startswith("_")}
    names = names - of_client | {f"AZURE_STORAGE{name}" for name in of_client} | {"HF_TOKEN"}
    (folder / "key.json").write_text(json.dumps({"type": "service_account", "private_key": "CANARYkeyfile"}))
    keys = "aws_access_key_id = CANARYprofileid\naws_secret_access_key = CANARYprofilekey\n"
    (folder / "aws").write_text(f"[archive]\n{keys}")
    placements = {
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ENDPOINT_URL": server,
        "AWS_PROFILE": "archive",
        "AZURE_STORAGE_ACCOUNT_NAME": "archive",
        "GOOGLE_APPLICATION_CREDENTIALS": str(folder / "key.json"),
        "STORAGE_EMULATOR_HOST": server,
    }
    assert set(placements) < names and len(names) >= 14, names
    secret = {name: CANARY + name.lower().replace("_", "") for name in names}
    account = f"AccountName=archive;AccountKey=CANARYconnection;BlobEndpoint={server}/archive"
    return {
        **secret,
        **placements,
        "AZURE_STORAGE_CONNECTION_STRING": account,
        "AWS_SHARED_CREDENTIALS_FILE": str(folder / "aws"),
        "AWS_EC2_METADATA_DISABLED": "true",
    }


def hostile_manifest(folder: Path) -> Path:
    """Two good rows, and rows with each URI as image, as mask and as reference."""
    good = read_manifest_rows(make_archive(folder, 2))
    wanted = [dict(row) for row in good]
    for number, uri in enumerate((*SECRET_URIS, *REFUSED_URIS)):
        for column in ("image", "mask", "reference"):
            wanted.append({**good[0], "item_id": f"{column} {number}", column: uri})
    return write_manifest(folder / "manifest.csv", wanted)


@pytest.fixture
def ray_folder() -> Iterator[Path]:
    """Ray's sessions of this test alone; its sockets' paths must be short."""
    folder = Path(tempfile.mkdtemp(prefix="sp-"))
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


def test_no_secret_reaches_what_a_run_leaves(tmp_path: Path, ray_folder: Path) -> None:
    manifest, out = hostile_manifest(tmp_path / "in"), tmp_path / "out"
    with serving(Echo) as server:
        env = {**os.environ, **canaries(tmp_path, server), "RAY_TMPDIR": str(ray_folder)}
        command = [sys.executable, "-m", "jobs.restore_archive", "--manifest", str(manifest), "--allow-http"]
        command += ["--output", str(out), "--max-failed", "1"]
        job = run(command, env)
        assert job.returncode == 3, job.stderr
        others = [
            run([*command[:3], "--manifest", uri, "--output", str(out)], env)
            for uri in ("s3://bucket/m.csv", "s3://k:CANARYmanifest@bucket/m.csv", "gs://bucket/m.csv")
        ]
        others += [
            run([*command[:3], "--manifest", str(manifest), "--output", uri], env)
            for uri in ("s3://bucket/out", "s3://k:CANARYout@bucket/out", "az://container/out")
        ]
    assert all(other.returncode in (1, 2) for other in others), [other.stderr for other in others]
    found = rows(str(out))
    assert Counter(row["status"] for row in found) == {"restored": 2, "failed": 30}
    assert Counter(row["error_code"] for row in found if row["error_code"]) == {"storage_denied": 30}
    looked_at = 0
    for name, text in left(out, ray_folder, [job, *others]):
        looked_at += 1
        assert CANARY not in text, f"{name}: …{text[max(0, text.index(CANARY) - 300) :][:400]}…"
    assert list(ray_folder.rglob("*.log")), "Ray's logs were looked through too"
    print(f"{looked_at} outputs and files looked through")


def run(command: list[str], env: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=250, check=False
    )


def left(
    out: Path, ray_folder: Path, jobs: list[subprocess.CompletedProcess[str]]
) -> Iterator[tuple[str, str]]:
    """Name and text of everything that the runs left."""
    for job in jobs:
        yield "stdout", job.stdout
        yield "stderr", job.stderr
    for entry in OutStore.open(str(out)).list():
        if entry.path.endswith(".parquet"):
            yield entry.path, str(pq.read_table(out / entry.path).to_pylist())
    for path in [*out.rglob("*"), *ray_folder.rglob("*")]:
        if path.is_file():
            yield str(path), path.read_bytes().decode("latin-1")

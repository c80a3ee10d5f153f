"""The main job with its whole archive on Azure Blob Storage."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from manifests.catalog.rows import read_committed
from restore.identity import sha256_bytes
from restore.storage import OutStore
from tests.support.archives import make_archive
from tests.support.servers import Azure

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.heavy
def test_an_archive_on_azure_is_restored_once(azurite: Azure, tmp_path: Path) -> None:
    make_archive(tmp_path, 6)
    archive = OutStore.open(f"az://{azurite.fresh_bucket()}/in")
    for path in tmp_path.rglob("*.*"):
        archive.create(str(path.relative_to(tmp_path)), path.read_bytes())
    out = OutStore.open(f"az://{azurite.fresh_bucket()}/out")
    command = [sys.executable, "-m", "jobs.restore_archive", "--manifest", f"{archive.root}/manifest.csv"]
    for words in ("6 restored", "6 done"):
        done = subprocess.run(
            [*command, "--output", out.root],
            cwd=ROOT,
            env={**os.environ, **azurite.env},
            capture_output=True,
            text=True,
            check=False,
            timeout=200,
        )
        assert done.returncode == 0 and words in done.stdout, done.stderr
        assert not any(word in done.stderr for word in ("Traceback", "WARNING", "ERROR")), done.stderr
    rows = read_committed(out).to_pylist()
    assert {row["output"] for row in rows} == {entry.path for entry in out.list("images")}
    assert all(sha256_bytes(out.read(row["output"])) == row["output_sha256"] for row in rows)
    assert len(out.names("runs")) == 2 and out.names("lease") == []

"""The whole corpus of difficult inputs as one manifest through the main job."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from pathlib import Path

from manifests.catalog.rows import read_committed
from restore.identity import sha256_bytes
from restore.storage import OutStore
from tests.support import corpus
from tests.support.archives import write_manifest
from tests.support.corpus import kinds

ROOT = Path(__file__).resolve().parents[2]


def test_every_kind_of_the_corpus_is_one_row_as_expected(tmp_path: Path) -> None:
    """OUT is the archive's own folder: no file of the run may replace an input."""
    archive = tmp_path / "archive"
    archive.mkdir()
    written = [corpus.write(kind, archive, number) for number, kind in enumerate(kinds())]
    manifest = write_manifest(archive / "manifest.csv", written)
    before = {path: sha256_bytes(path.read_bytes()) for path in archive.iterdir() if path.is_file()}

    command = [sys.executable, "-m", "jobs.restore_archive", "--manifest", str(manifest)]
    command += ["--output", str(archive), "--max-failed", "1"]
    job = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=280, check=False)
    assert job.returncode == 3 and "Traceback" not in job.stderr, job.stderr

    store = OutStore.open(str(archive))
    rows = {row["item_id"]: row for row in read_committed(store).to_pylist()}
    assert len(rows) == read_committed(store).num_rows == len(kinds()), "no row is lost or duplicated"
    expected = {kind.name: (kind.status, kind.code) for kind in kinds()}
    assert {name: (row["status"], row["error_code"]) for name, row in rows.items()} == expected
    changed = 0
    for kind in kinds():
        row = rows[kind.name]
        if kind.status == "restored":
            assert row["proof"] == "exact"
            changed += corpus.known_pixels_changed(kind, store.read(row["output"]))
        elif kind.status == "copied":
            assert store.read(row["output"]) == kind.image
    assert changed == 0
    assert {path: sha256_bytes(path.read_bytes()) for path in before} == before, "an input was touched"
    assert not any("hunter2" in str(row) for row in rows.values())
    print(f"{len(rows)} rows: {Counter(row['error_code'] or row['status'] for row in rows.values())}")

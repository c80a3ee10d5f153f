"""A comparison as a person types it: variants in one store, nothing painted twice, a table at the end."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from manifests.catalog.rows import read_committed
from restore.storage import OutStore
from tests.support.archives import make_archive

COLUMNS = ("item_id", "engine", "x_photo", "x_variant")
ROOT = Path(__file__).resolve().parents[2]


def compare(manifest: Path, out: Path, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "jobs", "compare", "--manifest", str(manifest), "--output", str(out)]
    return subprocess.run([*command, *words], cwd=ROOT, capture_output=True, text=True, check=False)


def test_variants_share_a_store_and_a_new_value_paints_only_what_is_new(tmp_path: Path) -> None:
    manifest, out = make_archive(tmp_path / "in", 4, 320, 240), tmp_path / "out"
    before = compare(manifest, out, "--grid", "engine=ns,telea", "--limit", "3", "--dry-run")
    assert before.returncode == 0, before.stderr
    assert "3 photos by 2 variants: 6 pictures" in before.stdout and not out.exists()

    first = compare(manifest, out, "--grid", "engine=ns,telea", "--limit", "3")
    assert first.returncode == 0, first.stdout + first.stderr
    rows = read_committed(OutStore.open(str(out)), COLUMNS).to_pylist()
    assert len(rows) == 6 and {row["x_variant"] for row in rows} == {"engine=ns", "engine=telea"}
    assert all(row["item_id"] == f"{row['x_photo']}/{row['x_variant']}" for row in rows)
    assert all(row["engine"] == row["x_variant"].partition("=")[2] for row in rows)
    *_, heading, ns, telea = first.stdout.splitlines()
    assert heading.split()[:3] == ["variant", "photos", "failed"]
    assert ns.split()[:3] == ["engine=ns", "3", "0"] and telea.split()[:3] == ["engine=telea", "3", "0"]

    again = compare(manifest, out, "--grid", "engine=ns,telea", "--limit", "3", "--baseline", "engine=telea")
    assert again.returncode == 0 and "6 done" in again.stdout
    more = compare(manifest, out, "--grid", "engine=ns,telea", "feather=4,9", "--limit", "3", "--dry-run")
    assert "3 photos by 4 variants" in more.stdout and "to do: 12" in more.stdout
    added = compare(manifest, out, "--grid", "engine=ns,telea", "--limit", "4")
    assert added.returncode == 0 and "6 done, 2 new" in added.stdout, added.stdout
    assert len(read_committed(OutStore.open(str(out)))) == 8

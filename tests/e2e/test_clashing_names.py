"""One photo against another: an item that is named as another one's output object, where OUT is a disk."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pyarrow.dataset as ds
from PIL import Image

from jobs.restore_archive import main
from manifests.__main__ import main as manifests
from tests.support.archives import damage, damaged, write_manifest


def rows(out: Path) -> dict[str, dict[str, Any]]:
    found = ds.dataset(out / "metadata", format="parquet").to_table().to_pylist()
    return {row["item_id"]: row for row in found}


def test_an_item_that_is_named_as_anothers_object_fails_alone(tmp_path: Path) -> None:
    Image.fromarray(damaged(1, 320, 240)).save(tmp_path / "a.png")
    Image.fromarray(damage(1, 320, 240)).save(tmp_path / "m.png")

    def restored(out: Path, *items: str) -> int:
        table = [{"item_id": item, "image": "a.png", "mask": "m.png"} for item in items]
        manifest = write_manifest(tmp_path / f"{out.name}.csv", table)
        return main(["--manifest", str(manifest), "--output", str(out)])

    alone, out = tmp_path / "alone", tmp_path / "out"
    assert restored(alone, "a") == 0
    name = Path(rows(alone)["a"]["output"]).name
    clash = f"{name}/y"
    assert restored(out, "z", "a", clash) == 3
    found = rows(out)
    failed, other = sorted(("a", clash), key=lambda item: found[item]["status"])
    assert {item: row["status"] for item, row in found.items()} == {
        **{"z": "restored", other: "restored", failed: "failed"}
    }
    assert found[failed]["error_code"] == "invalid_row"
    assert f"images/{name} is there" in found[failed]["error_message"]
    assert (out / found[other]["output"]).is_file()

    assert restored(out, "z", "a", clash) == 0, "the rest is done, and the clash is not tried again"
    assert manifests(["verify", str(out)]) == 0
    tree = tmp_path / "tree"
    assert manifests(["export", str(out), "--to", str(tree)]) == 0
    subprocess.run(["sha256sum", "-c", "--strict", "--quiet", "SHA256SUMS"], cwd=tree, check=True)

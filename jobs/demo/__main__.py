"""The demo: makes an archive of damaged photographs, restores it, and shows what came of it.

python -m jobs.demo
"""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import Any

from jobs import restore_archive
from jobs.demo.archive import make_archive
from jobs.demo.contact_sheet import Panel, contact_sheet
from jobs.exit_codes import SOME_FAILED
from manifests.catalog.rows import committed_rows, last_outcomes
from restore.imaging import codec
from restore.storage import OutStore

FOLDER = Path("demo")


def main() -> int:
    """Exit code 0 when the archive is restored and its one broken file is reported as failed."""
    archive, restored = FOLDER / "archive", FOLDER / "restored"
    for folder in (archive, restored):
        shutil.rmtree(folder, ignore_errors=True)
    manifest = make_archive(archive)
    print(f"made {archive}: damaged photographs, masks, the undamaged references, {manifest.name}")
    code = restore_archive.main(["--manifest", str(manifest), "--output", str(restored)])
    committed = committed_rows(OutStore.open(str(restored)))
    rows = last_outcomes(committed, committed.schema.names).to_pylist()
    sheet = FOLDER / "contact-sheet.png"
    contact_sheet([_panel(row, restored) for row in rows], sheet)
    print("\n".join(["", *map(_line, rows), "", *_where_to_look(restored, sheet)]))
    failed = [row["item_id"] for row in rows if row["status"] == "failed"]
    return 0 if code == SOME_FAILED and failed == ["cameraman-broken"] else 1


def _panel(row: dict[str, Any], restored: Path) -> Panel:
    title = f"{row['item_id']} · {row['x_title']}"
    if row["status"] == "failed":
        return Panel(title, None, None, None, f"{row['error_code']}: {row['error_message']}")
    before = codec.decode(Path(row["image"]).read_bytes())
    mask = codec.decode(Path(row["mask"]).read_bytes())
    after = codec.decode((restored / row["output"]).read_bytes())
    return Panel(title, before.pixels, mask.pixels, after.pixels, _caption(row))


def _caption(row: dict[str, Any]) -> str:
    psnr = row["figures"]["psnr"] if row["figures"] else None
    return row["status"] if psnr is None else f"{row['status']} · {psnr:.1f} dB"


def _line(row: dict[str, Any]) -> str:
    kind = f"{row['color_mode'] or ''} {row['bit_depth'] or ''}".strip()
    figures = row["figures"] or {}
    if row["status"] == "failed":
        result = f"{row['error_code']}: {row['error_message']}"
    elif figures.get("psnr") is None:
        result = "nothing to repair: the source's own bytes"
    else:
        result = f"PSNR {figures['psnr']:5.2f} dB  SSIM {figures['ssim']:.3f}  inside the damage"
    return f"  {row['item_id']:<18} {row['status']:<9} {kind:<8} {result}"


def _where_to_look(restored: Path, sheet: Path) -> list[str]:
    return [
        "Where to look:",
        f"  {sheet}  before, mask and after of every photo",
        f"  {restored}/images/  the restored photographs",
        f"  {restored}/metadata/  one Parquet row each",
        f"  {_report(restored)}  the run as a page: open it in a browser",
    ]


def _report(restored: Path) -> str:
    record = json.loads(max((restored / "runs").iterdir()).read_text(encoding="utf-8"))
    return f"{restored}/{record['report']}"


if __name__ == "__main__":
    sys.exit(main())

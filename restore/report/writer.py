"""A run as a page to look at: `OUT/reports/<run_id>/index.html`, its data and its pictures beside it.

The page is static. Data lie in scripts that hand over JSON text, since a page that is opened as a file
may load scripts but fetch nothing; it opens alike from a folder, a web server and a bucket.
"""

from __future__ import annotations

import heapq
import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from itertools import chain, islice
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds

from restore.report import statistics
from restore.report.thumbnail_store import ThumbnailStore
from restore.storage import OutStore
from restore.storage.uris import HTTP_SCHEMES, is_local, local_path, redact, scheme_of

LISTED = 10_000
"""Restored and copied photos in the page, those with the worst seams; the failed ones are all in it."""
ROWS_PER_FILE = 100
UPLOADERS = 16

_PAGE = Path(__file__).parent / "page"
_ENTRY = "index.html"
_SUFFIX = {"before": "jpg", "after": "jpg", "damage": "png"}

File = tuple[str, bytes]
"""A path below the report's folder, and what it holds."""


def write_report(
    store: OutStore, run_id: str, parts: Sequence[str], album: ThumbnailStore, record: Mapping[str, Any]
) -> str:
    """Write the page of one run.

    Args:
        parts: the run's metadata parts, paths below OUT.
        album: closed; the photos' small pictures.
        record: the run record, whose settings and verdict the page shows.

    Returns:
        Path of the page below OUT.
    """
    rows = _dataset(store, parts)
    gathered, worst = _survey(rows)
    folder = f"reports/{run_id}"
    run = {"record": _plain({**record, "manifest": redact(str(record["manifest"]))}), **gathered}
    files = chain(_assets(), [("data/run.js", _script("run", run))], _photos(rows, worst, album))
    _upload(store, folder, files)
    entry = f"{folder}/{_ENTRY}"
    store.overwrite(entry, (_PAGE / _ENTRY).read_bytes())  # last: a page that is there is whole
    return entry


def _dataset(store: OutStore, parts: Sequence[str]) -> ds.Dataset:
    filesystem, root = store.arrow_filesystem()
    return ds.dataset([f"{root}/{part}" for part in parts], filesystem=filesystem, format="parquet")


def _survey(rows: ds.Dataset) -> tuple[dict[str, Any], list[str]]:
    """The charts' numbers, and the row ids of the restored and copied photos that the page lists."""
    gathered = statistics.Charts()
    worst: list[tuple[float, str]] = []
    for batch in rows.to_batches(columns=["row_id", *statistics.COLUMNS]):
        gathered.add(batch)
        worst = heapq.nlargest(LISTED, chain(worst, _seams(batch)))
    return gathered.gathered(), [row_id for _, row_id in worst]


def _seams(batch: pa.RecordBatch) -> Iterator[tuple[float, str]]:
    """Seam and row id of each photo that has not failed; those without a seam come last."""
    done = batch.filter(pc.not_equal(batch.column("status"), "failed"))
    seams = pc.struct_field(done.column("figures"), "seam").fill_null(-1.0)
    return zip(seams.to_pylist(), done.column("row_id").to_pylist(), strict=True)


def _photos(rows: ds.Dataset, worst: Sequence[str], album: ThumbnailStore) -> Iterator[File]:
    """Rows in files of `ROWS_PER_FILE`, the pictures of their photos, and the index of all, last."""
    wanted = (pc.field("status") == "failed") | pc.field("row_id").isin(pa.array(worst, pa.string()))
    batches = rows.to_batches(filter=wanted, batch_size=1024, batch_readahead=2, fragment_readahead=1)
    listed = (row for batch in batches for row in batch.to_pylist())
    index: list[dict[str, Any]] = []
    for number, some in enumerate(_in_groups(listed, ROWS_PER_FILE)):
        yield f"data/rows-{number:05d}.js", _script(f"rows-{number:05d}", [_told(row) for row in some])
        for row in some:
            pictures = album.names(row["item_id"])
            for name in pictures:
                path = f"thumbs/{len(index):06d}-{name}.{_SUFFIX[name]}"
                yield path, album.read(row["item_id"], name)
            index.append(_entry(row, pictures))
    columns = {name: [entry[name] for entry in index] for name in index[0]} if index else {}
    yield "data/index.js", _script("index", {"rows_per_file": ROWS_PER_FILE, "columns": columns})


def _entry(row: Mapping[str, Any], pictures: Sequence[str]) -> dict[str, Any]:
    """What the page needs of a photo to list, sort, search and filter it."""
    figures, seconds = row["figures"] or {}, row["seconds"] or {}
    entry = {name: row[name] for name in ("item_id", "status", "error_code", "error_message", "engine")}
    entry.update({name: _plain(figures.get(name)) for name in ("seam", "colour_step", "grain")})
    worked = sum(value or 0.0 for name, value in seconds.items() if name != "wait")
    return {**entry, "seconds": worked, "pictures": pictures}


def _told(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row for the page, its URIs printable and with links where a browser can follow them."""
    told = _plain({name: value for name, value in row.items() if name != "run_id"})
    places = {name: row[name] for name in ("image", "mask") if row[name]}
    told.update({name: redact(uri) for name, uri in places.items()})
    links = {name: _link(uri) for name, uri in places.items()}
    links["output"] = f"../../{quote(row['output'])}" if row["output"] else None
    return {**told, "links": {name: link for name, link in links.items() if link}}


def _link(uri: str) -> str | None:
    if is_local(uri):
        return f"file://{quote(local_path(uri))}"
    return uri if scheme_of(uri) in HTTP_SCHEMES and redact(uri) == uri else None


def _plain(value: Any) -> Any:
    """As JSON has it: times as text, no number that is none."""
    if isinstance(value, Mapping):
        return {str(name): _plain(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    if isinstance(value, datetime):
        return value.isoformat()
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _script(name: str, value: Any) -> bytes:
    """A script that hands `value` to the page as JSON text: parsed, never run, whatever it holds."""
    text = json.dumps(json.dumps(value, separators=(",", ":"), allow_nan=False))
    return f'silverprint.put("{name}",{text});\n'.replace("<", "\\u003c").encode("ascii")


def _assets() -> Iterator[File]:
    """The page's own files but the entry."""
    for path in sorted(_PAGE.rglob("*")):
        name = path.relative_to(_PAGE).as_posix()
        if path.is_file() and name != _ENTRY:
            yield name, path.read_bytes()


def _upload(store: OutStore, folder: str, files: Iterable[File]) -> None:
    """Store files as they come, `UPLOADERS` at a time; no more than four times as many are held."""
    with ThreadPoolExecutor(UPLOADERS) as pool:
        for some in _in_groups(files, 4 * UPLOADERS):
            list(pool.map(lambda file: store.overwrite(f"{folder}/{file[0]}", file[1]), some))


def _in_groups(values: Iterable[Any], size: int) -> Iterator[list[Any]]:
    values = iter(values)
    while group := list(islice(values, size)):
        yield group

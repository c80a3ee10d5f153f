"""HTML reports: `OUT/reports/<run_id>/` for one run, and `OUT/reports/archive/` for the archive as it is now.

A report is a static page, its data and its thumbnails. The data are scripts that give the page JSON text:
a page that is opened as a file may load scripts but fetch nothing. So it opens alike from a folder, a web
server and a bucket.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime
from itertools import chain, islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import quote

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
import pyarrow.parquet as pq

from restore.outcome import OUTCOME_SCHEMA, REMOVED
from restore.report import statistics
from restore.report.earlier_thumbnails import EarlierThumbnails
from restore.report.files import script, thumbnail_path
from restore.report.thumbnail_store import FAILED_PICTURED, PICTURED, ThumbnailStore
from restore.storage import OutStore
from restore.storage.base import HTTP
from restore.storage.uris import Location, redact

LISTED = 10_000
"""Restored and copied photos that a page lists: the most suspicious ones. It lists all failed ones."""
ROWS_PER_FILE = 100
UPLOADERS = 16

ARCHIVE = "reports/archive"
"""Folder below OUT of the report on the archive as it is now."""

_PAGE = Path(__file__).parent / "page"
_ENTRY = "index.html"
_RANKED = tuple(name for name, figure in statistics.FIGURES.items() if figure.order)

Row = Mapping[str, Any]
File = tuple[str, bytes]
"""A path below the report's folder, and the bytes of the file."""
Thumbnails = Callable[[Row], Mapping[str, bytes]]
"""The thumbnails of a row's photo by name: of "before", "after" and "damage"."""


def write_report(
    store: OutStore, run_id: str, parts: Sequence[str], thumbnails: ThumbnailStore, record: Mapping[str, Any]
) -> str:
    """Write the page of one run.

    Args:
        parts: the run's metadata parts, paths below OUT.
        thumbnails: closed; the thumbnails of the photos that this run painted.
        record: the run record, whose settings and verdict the page shows.

    Returns:
        Path of the page below OUT.
    """
    rows = _dataset(store, parts)
    survey = _survey(rows)
    earlier = EarlierThumbnails(store, survey.reused)
    settings = {"record": _plain({**record, "manifest": redact(str(record["manifest"]))})}

    def thumbnails_of(row: Row) -> Mapping[str, bytes]:
        return thumbnails.pictures(row["item_id"]) or earlier.read(row)

    folder = f"reports/{run_id}"
    _write(store, folder, {**settings, **survey.charts}, _photos(rows, survey, thumbnails_of))
    return f"{folder}/{_ENTRY}"


def write_archive_report(
    store: OutStore, rows: Iterable[pa.Table | pa.RecordBatch], generated_at: datetime
) -> str:
    """Write the page of the archive as it is now, over the page of an earlier call.

    Args:
        rows: committed rows, all of one schema and in any order: the current picture of each item, and
            the last outcome of each item whose last outcome failed. An item may have both: the page then
            counts both and lists the failure. A `pyarrow.RecordBatchReader` is such an iterable.
        generated_at: when the rows were read, with a time zone.

    Returns:
        Path of the page below OUT.
    """
    with TemporaryDirectory(prefix="silverprint-", ignore_cleanup_errors=True) as folder:
        spooled = _spooled(rows, Path(folder, "rows.parquet"))
        failed = _failed_items(spooled)
        survey = _survey(spooled, failed)
        earlier = EarlierThumbnails(store, [*survey.worst[:PICTURED], *survey.failed])
        archive = {
            "output": redact(store.root),
            "generated_at": generated_at.isoformat(),
            "items": spooled.count_rows() - survey.superseded,
            "outdated": survey.superseded,
        }
        data = {"archive": archive, **survey.charts, "throughput": None}  # rows of many runs have no course
        photos = _photos(spooled, survey, earlier.read)
        written = _write(store, ARCHIVE, data, photos)
    _remove_leftovers(store, written)
    return f"{ARCHIVE}/{_ENTRY}"


def _write(store: OutStore, folder: str, data: Mapping[str, Any], photos: Iterable[File]) -> set[str]:
    """Store a report. Returns the paths of its files below OUT."""
    written = _upload(store, folder, chain(_assets(), [("data/run.js", script("run", data))], photos))
    entry = f"{folder}/{_ENTRY}"
    store.overwrite(entry, (_PAGE / _ENTRY).read_bytes())  # last: a page that is there is whole
    return {*written, entry}


def _remove_leftovers(store: OutStore, written: Collection[str]) -> None:
    """Remove the data and thumbnails of an earlier archive report that the new one has not replaced."""
    for entry in list(store.list(f"{ARCHIVE}/")):
        if entry.path not in written:
            store.remove(entry.path)


def _dataset(store: OutStore, parts: Sequence[str]) -> ds.Dataset:
    filesystem, root = store.arrow_filesystem()
    return ds.dataset([f"{root}/{part}" for part in parts], filesystem=filesystem, format="parquet")


def _spooled(rows: Iterable[pa.Table | pa.RecordBatch], path: Path) -> ds.Dataset:
    """Rows in a file, since a page needs them twice and a reader gives them once."""
    rows = iter(rows)
    first = next(rows, OUTCOME_SCHEMA.empty_table())
    with pq.ParquetWriter(path, first.schema, compression="zstd") as file:
        for batch in chain([first], rows):
            file.write(batch.filter(pc.not_equal(batch.column("status"), REMOVED)))
    return ds.dataset(path, format="parquet")


def _failed_items(rows: ds.Dataset) -> pa.Array:
    failed = rows.to_table(columns=["item_id"], filter=pc.field("status") == "failed")
    return failed["item_id"].combine_chunks()


@dataclass(slots=True)
class _Survey:
    """What one pass over the rows finds.

    Attributes:
        charts: the charts' numbers.
        worst: row ids of the restored and copied photos that the page lists, the worst first.
        reused: those of `worst` that show an earlier picture and get a thumbnail.
        failed: row ids of the failed photos that get a thumbnail.
        superseded: successful rows of items that the page lists as failed.
    """

    charts: dict[str, Any] = field(default_factory=dict)
    worst: list[str] = field(default_factory=list)
    reused: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    superseded: int = 0


def _survey(rows: ds.Dataset, failed_items: pa.Array | None = None) -> _Survey:
    """One pass over the rows; an item of `failed_items` is listed by its failed row alone."""
    survey, charts = _Survey(), statistics.Charts()
    worst: list[tuple[float, str, bool]] = []
    for batch in rows.to_batches(columns=["row_id", "item_id", *statistics.COLUMNS]):
        charts.add(batch)
        is_failed = pc.equal(batch.column("status"), "failed")
        done = batch.filter(pc.invert(is_failed))
        shown = _without(done, failed_items)
        survey.superseded += done.num_rows - shown.num_rows
        worst = heapq.nlargest(LISTED, chain(worst, _suspicions(shown)))
        failed = batch.filter(is_failed).column("row_id").to_pylist()
        survey.failed += failed[: FAILED_PICTURED - len(survey.failed)]
    survey.charts = charts.gathered()
    survey.worst = [row_id for _, row_id, _ in worst]
    survey.reused = [row_id for _, row_id, reused in worst if reused][:PICTURED]
    return survey


def _without(batch: pa.RecordBatch, items: pa.Array | None) -> pa.RecordBatch:
    if items is None:
        return batch
    return batch.filter(pc.invert(pc.is_in(batch.column("item_id"), items)))


def _suspicions(done: pa.RecordBatch) -> Iterator[tuple[float, str, bool]]:
    """Suspicion, row id and whether the row is reused; photos without a suspicion rank last."""
    suspicions = done.column("suspicion").fill_null(-1.0)
    reused = pc.is_valid(done.column("reused_from"))
    return zip(suspicions.to_pylist(), done.column("row_id").to_pylist(), reused.to_pylist(), strict=True)


def _photos(rows: ds.Dataset, survey: _Survey, thumbnails: Thumbnails) -> Iterator[File]:
    """Rows in files of `ROWS_PER_FILE`, the thumbnails of their photos and, last, the index of all."""
    index: list[dict[str, Any]] = []
    with ThreadPoolExecutor(UPLOADERS) as pool:
        for number, group in enumerate(_in_groups(_listed(rows, survey), ROWS_PER_FILE)):
            name = f"rows-{number:05d}"
            yield f"data/{name}.js", script(name, [_page_row(row) for row in group])
            for row, pictures in zip(group, pool.map(thumbnails, group), strict=True):
                for picture, data in pictures.items():
                    yield thumbnail_path(len(index), picture), data
                index.append(_entry(row, list(pictures)))
    columns = {name: [entry[name] for entry in index] for name in index[0]} if index else {}
    yield "data/index.js", script("index", {"rows_per_file": ROWS_PER_FILE, "columns": columns})


def _listed(rows: ds.Dataset, survey: _Survey) -> Iterator[Row]:
    """The rows of the photos that the page lists, in the order of the rows."""
    wanted = (pc.field("status") == "failed") | pc.field("row_id").isin(pa.array(survey.worst, pa.string()))
    batches = rows.to_batches(filter=wanted, batch_size=1024, batch_readahead=2, fragment_readahead=1)
    return (row for batch in batches for row in batch.to_pylist())


def _entry(row: Row, pictures: Sequence[str]) -> dict[str, Any]:
    """What the page needs of a photo to list, sort, search and filter it."""
    figures, seconds = row["figures"] or {}, row["seconds"] or {}
    entry = {name: row[name] for name in ("item_id", "status", "error_code", "error_message", "engine")}
    entry.update({name: _plain(row[name]) for name in ("suspicion", "mask_coverage")})
    entry.update({name: _plain(figures.get(name)) for name in _RANKED})
    worked = sum(value or 0.0 for name, value in seconds.items() if name != "wait")
    reused = row["reused_from"] is not None and row["status"] != "failed"
    return {**entry, "reused": reused, "seconds": worked, "pictures": pictures}


def _page_row(row: Row) -> dict[str, Any]:
    """A row for the page: its URIs without credentials, and links where a browser can follow them."""
    values = _plain(row)
    places = {name: row[name] for name in ("image", "mask") if row[name]}
    values.update({name: redact(uri) for name, uri in places.items()})
    links = {name: _link(uri) for name, uri in places.items()}
    links["output"] = f"../../{quote(row['output'])}" if row["output"] else None
    return {**values, "links": {name: link for name, link in links.items() if link}}


def _link(uri: str) -> str | None:
    location = Location.of(uri)
    if location.is_local:
        return f"file://{quote(location.path)}"
    return uri if location.kind is HTTP and location.redacted == uri else None


def _plain(value: Any) -> Any:
    """A value as JSON can hold it: times as text, null for a number that is not finite."""
    if isinstance(value, Mapping):
        return {str(name): _plain(member) for name, member in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(member) for member in value]
    if isinstance(value, datetime):
        return value.isoformat()
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _assets() -> Iterator[File]:
    """The files of the page itself, except the entry."""
    for path in sorted(_PAGE.rglob("*")):
        name = path.relative_to(_PAGE).as_posix()
        if path.is_file() and name != _ENTRY:
            yield name, path.read_bytes()


def _upload(store: OutStore, folder: str, files: Iterable[File]) -> set[str]:
    """Store files as they come, `UPLOADERS` at a time; at most four times that number is in memory.

    Returns:
        Their paths below OUT.
    """

    def upload(file: File) -> str:
        path = f"{folder}/{file[0]}"
        store.overwrite(path, file[1])
        return path

    with ThreadPoolExecutor(UPLOADERS) as pool:
        return {path for group in _in_groups(files, 4 * UPLOADERS) for path in pool.map(upload, group)}


def _in_groups(values: Iterable[Any], size: int) -> Iterator[list[Any]]:
    values = iter(values)
    while group := list(islice(values, size)):
        yield group

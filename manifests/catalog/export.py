"""The current pictures as a table, and as a tree of files that needs nothing of us to be read."""

from __future__ import annotations

import io
import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any

import pyarrow as pa
import pyarrow.csv as pc
import pyarrow.parquet as pq

from manifests.catalog.rows import Rows, committed_rows, current_batches
from manifests.query.csv_cells import marked
from restore.errors import ItemError, UsageError
from restore.formats import EXTENSIONS
from restore.identity import sha256_bytes
from restore.storage import OutStore

SUMS = "SHA256SUMS"

Write = Callable[[io.BytesIO, pa.Schema, Iterable[pa.Table]], None]


def write_current(store: OutStore, uri: str) -> int:
    """Write the rows of the current pictures, all columns, to Parquet, CSV or JSON Lines; how many.

    A file of that name is replaced at once. In CSV, nested columns are JSON, and no cell is a formula.

    Raises:
        UsageError: an extension that is not known.
    """
    folder, _, name = uri.rpartition("/")
    extension = name.rpartition(".")[2].lower()
    if extension not in _WRITERS:
        raise UsageError(f"out={uri}: name it {', '.join(f'.{known}' for known in _WRITERS)}")
    rows = committed_rows(store)
    batches = current_batches(rows, rows.schema.names)
    schema = pa.schema([one.with_nullable(True) for one in rows.schema])
    sink, counted = io.BytesIO(), _Counted(batches)
    _WRITERS[extension](sink, schema, counted)
    OutStore.open(folder or ("/" if uri.startswith("/") else ".")).overwrite(name, sink.getvalue())
    return counted.rows


class _Counted:
    """Tables as they pass, their rows counted."""

    def __init__(self, tables: Iterable[pa.Table]) -> None:
        self.rows = 0
        self._tables = tables

    def __iter__(self) -> Iterator[pa.Table]:
        for table in self._tables:
            self.rows += table.num_rows
            yield table


def _write_parquet(sink: io.BytesIO, schema: pa.Schema, tables: Iterable[pa.Table]) -> None:
    with pq.ParquetWriter(sink, schema, compression="zstd") as writer:
        for table in tables:
            writer.write_table(table)


def _write_csv(sink: io.BytesIO, schema: pa.Schema, tables: Iterable[pa.Table]) -> None:
    nested = [one.name for one in schema if pa.types.is_nested(one.type)]
    flat = pa.schema([pa.field(one.name, pa.string()) if one.name in nested else one for one in schema])
    with pc.CSVWriter(sink, flat) as writer:
        for table in tables:
            texts = [
                _as_json(column) if name in nested else column
                for name, column in zip(schema.names, table.columns, strict=True)
            ]
            cells = [marked(column) if pa.types.is_string(column.type) else column for column in texts]
            writer.write_table(pa.table(cells, flat))


def _as_json(column: pa.ChunkedArray) -> pa.Array:
    return pa.array(
        [None if value is None else json.dumps(value) for value in column.to_pylist()], pa.string()
    )


def _write_json_lines(sink: io.BytesIO, schema: pa.Schema, tables: Iterable[pa.Table]) -> None:
    for table in tables:
        for row in table.to_pylist():
            line = json.dumps(row, ensure_ascii=False, default=lambda time: time.isoformat())
            sink.write(line.encode() + b"\n")


_WRITERS: dict[str, Write] = {"parquet": _write_parquet, "csv": _write_csv, "jsonl": _write_json_lines}


@dataclass(slots=True)
class Exported:
    """What `export` did.

    Attributes:
        pictures: that are now there with their row's bytes.
        faults: a line for each of the others.
    """

    pictures: int = 0
    bytes: int = 0
    faults: list[str] = field(default_factory=list)


def export(store: OutStore, target: OutStore) -> Exported:
    """Copy each current picture to `<item_id>.<ext>` below `target`, then the sums of all that are there.

    Nothing is ever overwritten but the list of sums: a file that is there with the same bytes counts as
    copied, so that a stopped export goes on; one with other bytes is a fault. So is one whose name a disk
    needs for a folder: the pictures below that folder are copied. `SHA256SUMS` is in the form that
    `sha256sum -c` reads.
    """
    done, sums = Exported(), io.BytesIO()
    rows = committed_rows(store)
    copy = _Copy(store, target, _folders_named_as_files(rows) if target.is_local else {})
    with ThreadPoolExecutor(2 * (os.cpu_count() or 1)) as pool:
        for batch in current_batches(rows, _COPIED):
            for row, (path, size, fault) in zip(
                some := batch.to_pylist(), pool.map(copy.picture, some), strict=True
            ):
                if fault:
                    done.faults.append(f"{path}: {fault}")
                    continue
                done.pictures += 1
                done.bytes += size
                sums.write(f"{row['output_sha256']}  {path}\n".encode())
    target.overwrite(SUMS, sums.getvalue())
    return done


_COPIED = ("item_id", "output", "output_sha256")


def _folders_named_as_files(rows: Rows) -> dict[str, str]:
    """The tree's folders that are named as pictures are, each with an item below it."""
    is_inside = rf"regexp_matches(item_id, '(?i)\.({'|'.join(EXTENSIONS)})/')"
    found: dict[str, str] = {}
    for batch in current_batches(rows, ("item_id",), is_inside):
        for item_id in batch["item_id"].to_pylist():
            for folder in map(str, PurePosixPath(item_id).parents):
                found.setdefault(folder, item_id)
    return found


_OTHER_BYTES = (
    "is there with other bytes, which stay; export to an empty place, and one where names that differ in "
    "case only are two"
)


@dataclass(frozen=True, slots=True)
class _Copy:
    """Copies pictures one by one.

    Attributes:
        folders: paths that are folders on the target, each with an item below it.
    """

    store: OutStore
    target: OutStore
    folders: Mapping[str, str]

    def picture(self, row: Mapping[str, Any]) -> tuple[str, int, str | None]:
        """The path below the target, the bytes, and what is wrong."""
        path = f"{row['item_id']}.{row['output'].rpartition('.')[2]}"
        if clash := self._clash(path):
            return path, 0, clash
        try:
            data = self.store.read(row["output"])
            if sha256_bytes(data) != row["output_sha256"]:
                return path, 0, f"{row['output']} differs from its row; see `verify`"
            created = self.target.create(path, data)
        except FileNotFoundError:
            return path, 0, f"{row['output']} is missing; see `verify`"
        except ItemError as error:
            return path, 0, error.message
        if created.existing is not None:
            return path, 0, _OTHER_BYTES
        return path, len(data), None

    def _clash(self, path: str) -> str | None:
        """Why a disk cannot hold this name beside the others of the tree."""
        if other := self.folders.get(path):
            return f"must be a folder, for the item {other}; rename one of the two items"
        if self.target.is_local and path.startswith(f"{SUMS}/"):
            return f"{SUMS} must be a file, the list of sums; rename the item"
        return None

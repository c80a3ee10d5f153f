"""What the headers of listed photos say: their size, depth and mode. No pixel is decoded."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from restore.errors import ErrorCode, ItemError
from restore.imaging.codec import read_header
from restore.imaging.metadata import exif, png, sniff
from restore.imaging.picture import Header
from restore.storage import fetch, versions
from restore.storage.inputs import read_range

PROBES = 8
"""Photos read at the same time."""
START, AROUND = 1 << 18, 1 << 16
"""Bytes of a photo's beginning that are read, and of those before and after a TIFF's directory."""
MAX_BYTES = 1 << 30
BATCH = 256

SCHEMA = pa.schema(
    [
        ("image", pa.string()),
        ("width", pa.int32()),
        ("height", pa.int32()),
        ("bit_depth", pa.int32()),
        ("color_mode", pa.string()),
        ("fault", pa.string()),
    ]
)


def probe_headers(con: duckdb.DuckDBPyConnection, query: str, path: Path) -> None:
    """Writes one row of `SCHEMA` for each `image` with `image_version` and `image_bytes` of the query.

    A photo that cannot be read, or that changed since it was listed, has a `fault` and no figures.

    Raises:
        StorageConfigError: when there are no credentials to read with.
    """
    batches = con.sql(query).to_arrow_reader(BATCH)
    with ThreadPoolExecutor(PROBES) as pool, pq.ParquetWriter(path, SCHEMA) as writer:
        for batch in batches:
            listed = (batch[name].to_pylist() for name in ("image", "image_version", "image_bytes"))
            writer.write_batch(pa.RecordBatch.from_pylist(list(pool.map(_probed, *listed)), SCHEMA))


def _probed(uri: str, version: str, size: int) -> dict[str, Any]:
    try:
        header = _glimpsed(uri, version, size) or _read(uri, version)
    except ItemError as error:
        return {"image": uri, "fault": str(error)}
    return {
        "image": uri,
        "width": header.width,
        "height": header.height,
        "bit_depth": header.bit_depth,
        "color_mode": header.mode,
    }


def _glimpsed(uri: str, version: str, size: int) -> Header | None:
    """The header from those parts of the file where it usually lies; None where that is not enough.

    All else is zeros there, and what a reader refuses of that is read whole; so is WebP, whose orientation
    stands behind its pixels.
    """
    if not START < size <= MAX_BYTES or versions([uri])[uri] != version:
        return None
    try:
        start = read_range(uri, 0, START)
        form = sniff.accepted_format(start)
        if form == "webp":
            return None
        if form == "png":
            return read_header(png.unpainted(start))
        file = bytearray(size)
        file[: len(start)] = start
        if form == "tiff":
            low = max(exif.first_directory(start)[1] - AROUND, 0)
            directory = read_range(uri, low, low + 2 * AROUND)
            file[low : low + len(directory)] = directory
            if _turned_elsewhere(bytes(file)):
                return None
        return read_header(bytes(file))
    except (ItemError, OSError, ValueError):
        return None


def _turned_elsewhere(file: bytes) -> bool:
    """Whether a TIFF's way up may be stated in its XMP, whose place may not have been read."""
    entries = exif.read_directory(file, *exif.first_directory(file)).entries
    return exif.XMP in entries and not exif.orientation_of(entries)


def _read(uri: str, version: str) -> Header:
    return read_header(
        fetch(uri, version=version, missing=ErrorCode.IMAGE_NOT_FOUND, max_bytes=MAX_BYTES).data
    )

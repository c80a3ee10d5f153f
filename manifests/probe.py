"""What the headers of listed photos say: their size, depth and mode. No pixel is decoded."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from restore.codec import read_header
from restore.errors import ErrorCode, ItemError
from restore.storage import fetch

PROBES = 8
"""Photos read at the same time, whole: the header of a TIFF or WebP may lie at its end."""
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
    """Writes one row of `SCHEMA` for each `image` and `image_version` of the query, as Parquet.

    A photo that cannot be read, or that changed since it was listed, has a `fault` and no figures.

    Raises:
        StorageConfigError: when there are no credentials to read with.
    """
    batches = con.sql(query).to_arrow_reader(BATCH)
    with ThreadPoolExecutor(PROBES) as pool, pq.ParquetWriter(path, SCHEMA) as writer:
        for batch in batches:
            uris, versions = (batch[name].to_pylist() for name in ("image", "image_version"))
            writer.write_batch(pa.RecordBatch.from_pylist(list(pool.map(_probed, uris, versions)), SCHEMA))


def _probed(uri: str, version: str) -> dict[str, Any]:
    try:
        found = fetch(uri, version=version, missing=ErrorCode.IMAGE_NOT_FOUND, max_bytes=MAX_BYTES)
        header = read_header(found.data)
    except ItemError as error:
        return {"image": uri, "fault": str(error)}
    return {
        "image": uri,
        "width": header.width,
        "height": header.height,
        "bit_depth": header.bit_depth,
        "color_mode": header.mode,
    }

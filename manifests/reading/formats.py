"""A manifest's file as chunks of columns, whichever of the three formats it is in.

CSV and JSON Lines give every value as the text that was written; Parquet gives its own types. None of them
takes more memory than its limits allow.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO, cast

from manifests.reading.chunks import Chunk
from manifests.reading.csv_rows import csv_chunks
from manifests.reading.faults import Faults
from manifests.reading.json_lines import json_chunks
from manifests.reading.limits import check_file
from manifests.reading.parquet_rows import parquet_chunks
from restore.errors import ManifestError
from restore.storage import is_local, open_input
from restore.storage.access import forbidden_reason
from restore.storage.uris import redact

Reader = Callable[[BinaryIO, Faults], Iterator[Chunk]]

_COPY_BYTES = 8 * 2**20


def read_chunks(uri: str) -> tuple[Iterator[Chunk], Faults]:
    """The chunks of the manifest at `uri`, at least one; reading them adds to the faults.

    Raises:
        ManifestError: no such file, an extension that is not known, a URI that is never read, or, while the
            chunks are read, more than one of `manifests.reading.limits` allows.
        StorageConfigError: the store does not let us read it.
    """
    reason = forbidden_reason(uri)
    if reason:
        raise ManifestError(f"{redact(uri)}: {reason}")
    extension = Path(uri).suffix.lower()
    if extension not in _READERS:
        raise ManifestError(f"{redact(uri)}: not a manifest; name it {', '.join(_READERS)}")
    unit, reader = _READERS[extension]
    faults = Faults(uri, unit)
    source = _opened(uri)
    if extension == ".parquet":
        check_file(source, faults)
        source = source if is_local(uri) else _copied(source)
    return reader(source, faults), faults


def _opened(uri: str) -> BinaryIO:
    try:
        return open_input(uri)
    except FileNotFoundError:
        raise ManifestError(f"{redact(uri)}: no such file; correct the name of the manifest") from None
    except OSError as error:
        raise ManifestError(f"{redact(uri)}: cannot be opened: {error}") from None


def _copied(source: BinaryIO) -> BinaryIO:
    """The same bytes on this machine's disk: a Parquet file is read here and there, and parts of it twice."""
    copy = tempfile.TemporaryFile(prefix="silverprint-manifest-")  # noqa: SIM115
    shutil.copyfileobj(source, copy, _COPY_BYTES)
    copy.seek(0)
    return cast(BinaryIO, copy)


_READERS: dict[str, tuple[str, Reader]] = {
    ".parquet": ("row", parquet_chunks),
    ".csv": ("line", csv_chunks),
    ".jsonl": ("line", json_chunks),
    ".ndjson": ("line", json_chunks),
}

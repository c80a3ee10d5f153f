"""A manifest of JSON Lines: an object a line, each value as the text that was written."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator
from typing import BinaryIO

import pyarrow as pa

from manifests.reading.chunks import Chunk, batches, numbers
from manifests.reading.faults import Faults
from manifests.reading.limits import check_cells, check_columns
from manifests.reading.lines import Meter, lines_of

_SURROGATE = re.compile(r"\\ud[89a-f]", re.IGNORECASE)


def json_chunks(source: BinaryIO, faults: Faults) -> Iterator[Chunk]:
    """The chunks of a JSON Lines file. A chunk has the columns that were named up to its last row."""
    meter = Meter()
    lines = lines_of(source, meter, faults)
    names: dict[str, None] = {}
    for batch in batches(_objects(lines, names, meter, faults), names, meter):
        columns = [pa.array([values.get(name) for _, values in batch], pa.string()) for name in names]
        chunk = Chunk(numbers(line for line, _ in batch), pa.Table.from_arrays(columns, list(names)))
        check_cells(chunk.numbers, chunk.columns, faults)
        yield chunk
    if not meter.read:
        faults.add(0, "the file is empty; a manifest has an object with item_id and image on each line")


def _objects(
    lines: Iterator[str], names: dict[str, None], meter: Meter, faults: Faults
) -> Iterator[tuple[int, dict[str, str | None]]]:
    """Objects with the line of each. Their names are added to `names`."""
    for number, line in enumerate(lines, start=1):
        meter.before_row = meter.read
        if not line.strip():
            continue
        try:
            values = _object(line)
        except json.JSONDecodeError as error:
            faults.add(number, f"not JSON: {error.msg} at column {error.colno}")
        except (ValueError, RecursionError) as error:
            faults.add(number, f"not a JSON object of plain values: {error}")
        else:
            known = len(names)
            names.update(dict.fromkeys(values))
            if len(names) > known:
                check_columns(names, number, faults)
            yield number, values


def _object(line: str) -> dict[str, str | None]:
    # Numbers stay as written: 1.10 is 1.10 in an `x_*` column.
    parsed = _DECODER.decode(line)
    if not isinstance(parsed, dict):
        raise ValueError("an object with item_id and image is expected")
    if _SURROGATE.search(line) and not _is_unicode(parsed):
        raise ValueError("a \\u escape is half a surrogate pair; write both halves, or the letter itself")
    return {name: _text(name, value) for name, value in parsed.items()}


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    """An object; a name that comes twice would lose the first value in silence."""
    values = dict(pairs)
    if len(values) < len(pairs):
        (twice, _), *_ = Counter(name for name, _ in pairs).most_common(1)
        raise ValueError(f"the name {twice[:100]} comes twice; keep one of them")
    return values


def _is_unicode(parsed: dict[str, object]) -> bool:
    try:
        json.dumps(parsed, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return False
    return True


def _text(name: str, value: object) -> str | None:
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    raise ValueError(f"{name[:100]} holds a list or an object; write plain values")


def _no_constant(constant: str) -> float:
    raise ValueError(f"{constant} is not JSON")


_DECODER = json.JSONDecoder(
    object_pairs_hook=_unique, parse_int=str, parse_float=str, parse_constant=_no_constant
)

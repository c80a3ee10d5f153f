"""The lines of a text file, read in bounded memory: a line, or a row of several lines, may have no end."""

from __future__ import annotations

import codecs
import io
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import BinaryIO, NoReturn

from manifests.reading.faults import Faults
from manifests.reading.limits import MAX_ROW_BYTES, beyond

_BOM = "\ufeff"
_UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


@dataclass(slots=True)
class Meter:
    """How many bytes of a file are read, and how many of them stand before the present row."""

    read: int = 0
    before_row: int = 0


def lines_of(source: BinaryIO, meter: Meter, faults: Faults) -> Iterator[str]:
    """Lines of UTF-8 or UTF-16 without their byte order mark; a line that is neither is a fault.

    Raises:
        ManifestError: when a row has more bytes than a row may have.
    """
    return _utf16(source, meter, faults) if is_utf16(source) else _utf8(source, meter, faults)


def is_utf16(source: BinaryIO) -> bool:
    """Whether the file begins with a byte order mark of UTF-16, as Excel's "Unicode text" does."""
    return isinstance(source, io.BufferedReader) and source.peek(2)[:2] in _UTF16


def _utf8(source: BinaryIO, meter: Meter, faults: Faults) -> Iterator[str]:
    for number, line in enumerate(iter(partial(source.readline, MAX_ROW_BYTES + 1), b""), start=1):
        meter.read += len(line)
        if meter.read - meter.before_row > MAX_ROW_BYTES:
            _refuse(number, meter, faults)
        try:
            decoded = line.decode()
        except UnicodeDecodeError as error:
            faults.add(number, f"not UTF-8 at byte {error.start + 1} of the line; save the file as UTF-8")
            decoded = line.decode(errors="replace")
        yield decoded.removeprefix(_BOM) if number == 1 else decoded


def _utf16(source: BinaryIO, meter: Meter, faults: Faults) -> Iterator[str]:
    text = io.TextIOWrapper(source, encoding="utf-16", newline="")
    try:
        for number, line in enumerate(iter(partial(text.readline, MAX_ROW_BYTES // 2 + 1), ""), start=1):
            meter.read += 2 * len(line)  # a few characters take four bytes
            if meter.read - meter.before_row > MAX_ROW_BYTES:
                _refuse(number, meter, faults)
            yield line
    except UnicodeError as error:
        faults.add(0, f"not UTF-16 to its end ({error}); save the file as UTF-8")


def _refuse(line: int, meter: Meter, faults: Faults) -> NoReturn:
    found = f"the row has {meter.read - meter.before_row:,} bytes or more"
    faults.refuse(line, beyond(found, MAX_ROW_BYTES, "look for a quote or a line without its end"))

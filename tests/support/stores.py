"""Output stores with pictures and rows that agree, for the tests of what keeps and checks them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import pytest

from restore.errors import ErrorCode, ItemError
from restore.identity import sha256_bytes
from restore.imaging import codec
from restore.imaging.picture import Picture
from restore.outcome import Outcome, outcomes_table
from restore.run.lease import acquire
from restore.run.ledger import Ledger, write_record
from restore.storage import OutStore
from tests.support.archives import photograph
from tests.support.runs import RUN, outcome


def pictured(store: OutStore, number: int) -> Outcome:
    """A restored photo, its picture in the store."""
    data = codec.encode(Picture(photograph(number, 64, 48), "RGB", "png", True), "png", 95).data
    size = {"width": 64, "height": 48, "bit_depth": 8, "color_mode": "RGB"}
    stored = {"output_sha256": sha256_bytes(data), "output_bytes": len(data), "proof": "exact"}
    one = outcome(number, **size, **stored)
    assert one.output
    store.create(one.output, data)
    return one


def written(store: OutStore, parts: Sequence[Sequence[Outcome]], run: str = RUN) -> None:
    """The rows as parts of one run, and its record."""
    with acquire(store) as lease:
        ledger = Ledger(store, lease, run, ["x_title"], max_failed=1)
        for rows in parts:
            ledger.add(outcomes_table(rows, ["x_title"]))
            ledger.commit()
        write_record(store, run, {"run_id": run, "committed": ledger.committed})


ODD_NAMES = (
    "images/Grüße aus Köln.0123.png",
    "images/100% wahr+falsch & mehr.png",
    "images/a%20b/日本語 (1).tif",
    "images/it's=here,~now;@2x!.jpg",
    "images/.hidden.png",
    "images/what? #2 [3]*.png",
)
MISSING = ErrorCode.IMAGE_NOT_FOUND
MEGABYTE = 2**20


@contextmanager
def code_of(code: ErrorCode) -> Iterator[pytest.ExceptionInfo[ItemError]]:
    with pytest.raises(ItemError) as raised:
        yield raised
    assert raised.value.code is code, raised.value

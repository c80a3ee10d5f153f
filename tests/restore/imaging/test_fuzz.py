"""Real files changed at random, decoded and encoded in a process of bounded memory: always a typed outcome.

A crash breaks the pool, a hang runs out of time, an allocation beyond the bound is a MemoryError: each
fails the test with the bytes that did it. Hypothesis shrinks them.
"""

from __future__ import annotations

import resource
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from datetime import timedelta
from multiprocessing import get_context

import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from restore.errors import ErrorCode, ItemError
from restore.imaging import codec
from tests.support.corpus import kinds

SEEDS = [kind.image for kind in kinds() if isinstance(kind.image, bytes) and 100 < len(kind.image) < 60_000]
MEMORY, SECONDS = 2 << 30, 20
MEGAPIXELS = 20
EXPECTED = {ErrorCode.IMAGE_UNREADABLE, ErrorCode.UNSUPPORTED_FORMAT, ErrorCode.IMAGE_TOO_LARGE}
NUMBERS = (0, 1, 2, 0x7F, 0x80, 0xFF, 0xFFFF, 0x10000, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)


@st.composite
def spoiled(draw: st.DrawFn) -> bytes:
    """A file of the corpus after one to four changes, half of them near its head."""
    data = draw(st.sampled_from(SEEDS))
    for _ in range(draw(st.integers(1, 4))):
        end = len(data) if draw(st.booleans()) else min(len(data), 400)
        at = draw(st.integers(0, max(0, end - 1)))
        data = draw(st.sampled_from(CHANGES))(draw, data, at)
    return data


def bit(draw: st.DrawFn, data: bytes, at: int) -> bytes:
    return data[:at] + bytes([data[at] ^ (1 << draw(st.integers(0, 7)))]) + data[at + 1 :] if data else data


def number(draw: st.DrawFn, data: bytes, at: int) -> bytes:
    """A length, an offset or a size at its edge."""
    size, order = draw(st.sampled_from([2, 4])), draw(st.sampled_from(["little", "big"]))
    value = draw(st.sampled_from(NUMBERS)) & ((1 << 8 * size) - 1)
    return data[:at] + value.to_bytes(size, order) + data[at + size :]


def cut(draw: st.DrawFn, data: bytes, at: int) -> bytes:
    return data[:at]


def left_out(draw: st.DrawFn, data: bytes, at: int) -> bytes:
    return data[:at] + data[at + draw(st.integers(1, 64)) :]


def repeated(draw: st.DrawFn, data: bytes, at: int) -> bytes:
    end = at + draw(st.integers(1, 64))
    return data[:end] + data[at:end] * draw(st.integers(1, 20)) + data[end:]


def grafted(draw: st.DrawFn, data: bytes, at: int) -> bytes:
    """The head of one file before the rest of another."""
    other = draw(st.sampled_from(SEEDS))
    return data[:at] + other[at:]


CHANGES = (bit, number, cut, left_out, repeated, grafted)


def bounded() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))


def outcome_of(data: bytes) -> str:
    """What a worker makes of a file: an error code, or that it is a picture that survives its own storing."""
    try:
        picture = codec.decode(data, max_megapixels=MEGAPIXELS)
    except ItemError as error:
        assert error.message
        return str(error.code)
    stored = codec.decode(codec.encode(picture, "source", 90).data, max_megapixels=MEGAPIXELS)
    assert stored.pixels.shape == picture.pixels.shape and (stored.pixels == picture.pixels).all()
    return "picture"


class Worker:
    """One process for all examples; a new one when a crash or a hang has cost it."""

    def __init__(self) -> None:
        self._pool: ProcessPoolExecutor | None = None

    def outcome_of(self, data: bytes) -> str:
        if self._pool is None:
            self._pool = ProcessPoolExecutor(1, get_context("spawn"), initializer=bounded)
        try:
            return self._pool.submit(outcome_of, data).result(SECONDS)
        except Exception:
            self.stop()
            raise

    def stop(self) -> None:
        if self._pool is not None:
            for process in list((self._pool._processes or {}).values()):
                process.kill()
            self._pool.shutdown(wait=True)
            self._pool = None


@pytest.fixture(scope="module")
def worker() -> Iterator[Worker]:
    worker = Worker()
    yield worker
    worker.stop()


def fuzz(worker: Worker, examples: int, start: int) -> None:
    counts: dict[str, int] = {}

    @seed(start)
    @settings(
        max_examples=examples,
        deadline=timedelta(seconds=SECONDS),
        database=None,
        phases=[Phase.generate, Phase.shrink],
        suppress_health_check=list(HealthCheck),
    )
    @given(spoiled())
    def each(data: bytes) -> None:
        found = worker.outcome_of(data)
        counts[found] = counts.get(found, 0) + 1
        assert found in {"picture", *EXPECTED}

    each()
    print(f"{sum(counts.values())} spoiled files: {counts}")
    assert len(counts) == 1 + len(EXPECTED), "the changes reach every outcome"


def test_spoiled_files_have_a_typed_outcome(worker: Worker) -> None:
    fuzz(worker, 600, start=1)


@pytest.mark.heavy
@pytest.mark.timeout(900)
def test_many_spoiled_files_have_a_typed_outcome(worker: Worker) -> None:
    for start in range(10):
        fuzz(worker, 4000, start=100 + start)

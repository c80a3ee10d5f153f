"""Runs the measurements: `python -m tests.bench [name ...] [option ...]`, all of them without a name.

Only `quality` has options.
"""

from __future__ import annotations

import sys
from itertools import takewhile

from tests.bench import (
    dilation,
    driver,
    feeding,
    formats,
    giants,
    gpu,
    listing,
    memory,
    quality,
    stock_chain,
    throughput,
    work,
)
from tests.bench.planning import diff, limit

BENCHES = {
    "throughput": throughput.main,
    "feeding": feeding.main,
    "memory": memory.main,
    "giants": giants.main,
    "driver": driver.main,
    "listing": listing.main,
    "stock_chain": stock_chain.main,
    "work": work.main,
    "gpu": gpu.main,
    "diff": diff.main,
    "limit": limit.main,
    "formats": formats.main,
    "quality": quality.main,
    "dilation": dilation.main,
}

for name in list(takewhile(lambda word: not word.startswith("-"), sys.argv[1:])) or BENCHES:
    print(f"== {name}", flush=True)
    BENCHES[name]()

"""Runs the measurements: `python -m tests.bench [name ...]`, all of them without a name."""

from __future__ import annotations

import sys

from tests.bench import (
    diff,
    driver,
    feeding,
    formats,
    giants,
    gpu,
    listing,
    memory,
    stock_chain,
    throughput,
    work,
)

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
    "formats": formats.main,
}

for name in sys.argv[1:] or BENCHES:
    print(f"== {name}", flush=True)
    BENCHES[name]()

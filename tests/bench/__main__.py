"""Runs the measurements: `python -m tests.bench [name ...]`, all of them without a name."""

from __future__ import annotations

import sys

from tests.bench import memory, throughput

BENCHES = {"throughput": throughput.main, "memory": memory.main}

for name in sys.argv[1:] or BENCHES:
    print(f"== {name}", flush=True)
    BENCHES[name]()

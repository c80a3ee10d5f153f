"""A command line from a settings class: options by name, arguments by place."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import KW_ONLY, dataclass
from pathlib import Path
from typing import Annotated

import pytest

from restore.cli import argument, option, options, parse


@dataclass(frozen=True)
class Example:
    store: Annotated[str, argument("one")]
    files: Annotated[tuple[str, ...], argument("one or more")]
    _: KW_ONLY
    count: Annotated[int | None, option("a number", "N")] = None
    name: Annotated[str, option("must be given", "NAME")]
    deep: Annotated[bool, option("a switch")] = False
    set: Annotated[tuple[str, ...], options("several", "A=B")] = ()


def parsed(*argv: str) -> Example:
    return parse(Example, "example", "An example.", argv)


def test_arguments_by_place_and_options_by_name() -> None:
    given = parsed("out", "a", "b", "--name", "n", "--count", "3", "--deep")
    assert given == Example(store="out", files=("a", "b"), count=3, name="n", deep=True)


def test_several_values_follow_one_name_and_the_name_may_come_again() -> None:
    given = parsed("out", "a", "--name", "n", "--set", "x=1", "y=2", "--set", "z=3")
    assert given.set == ("x=1", "y=2", "z=3") and given.files == ("a",)


def test_an_option_left_out_takes_its_default() -> None:
    assert parsed("out", "a", "--name", "n") == Example(store="out", files=("a",), name="n")


@pytest.mark.parametrize("argv", [[], ["out"], ["out", "a"], ["out", "a", "--name", "n", "--count", "x"]])
def test_what_is_missing_or_no_number_ends_with_2(argv: list[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        parsed(*argv)
    assert caught.value.code == 2


ABANDONED = """
import sys, threading, time
import pyarrow as pa, pyarrow.dataset as ds, pyarrow.fs, pyarrow.parquet as pq
from fsspec.implementations.local import LocalFileSystem
from restore.cli import leave

class Slow(LocalFileSystem):
    def open(self, *args, **more):
        time.sleep(1.0)
        return super().open(*args, **more)

for part in range(8):
    pq.write_table(pa.table({"n": list(range(1000))}), f"{sys.argv[1]}/{part}.parquet")
store = pyarrow.fs.PyFileSystem(pyarrow.fs.FSSpecHandler(Slow()))
paths = [f"{sys.argv[1]}/{part}.parquet" for part in range(8)]
rows = ds.FileSystemDataset.from_paths(
    paths, schema=pa.schema([("n", pa.int64())]), format=ds.ParquetFileFormat(), filesystem=store
)
next(iter(rows.scanner().to_batches()))
print("done")
leave(7)
"""


def test_a_scan_that_was_left_does_not_change_the_exit_code(tmp_path: Path) -> None:
    command = [sys.executable, "-c", ABANDONED, str(tmp_path)]
    for _ in range(3):  # by Python's own end one of them aborts
        ended = subprocess.run(command, capture_output=True, text=True, check=False)
        assert (ended.returncode, ended.stdout) == (7, "done\n"), ended.stderr

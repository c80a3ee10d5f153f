"""Manifests that would take any amount of memory or time: one clear message, and a bounded process."""

from __future__ import annotations

import json
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from random import Random
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from manifests.reading import limits
from manifests.reading.schema import read_manifest
from restore.errors import ManifestError
from tests.support import parquet_bytes as raw

MEBIBYTE = 2**20
BASE = {"item_id": ["a", "b"], "image": ["1.png", "2.png"]}


def refused(path: Path) -> str:
    with pytest.raises(ManifestError) as error:
        read_manifest(str(path))
    message = str(error.value)
    assert message.startswith(f"{path}: ") and error.value.exit_code == 2
    return message.removeprefix(f"{path}: ")


TEXTS = {
    "columns.csv": (
        "item_id,image," + ",".join(f"x_{i}" for i in range(4000)) + "\n",
        "line 1: 4,002 columns; the limit is 500",
    ),
    "more_columns.csv": (
        "item_id,image," + ",".join(f"x_{i}" for i in range(200_000)) + "\n",
        "line 1: the row has 1,048,577 bytes or more; the limit is 1,048,576",
    ),
    "name.csv": (
        f"item_id,image,x_{'a' * 300}\n",
        "line 1: the column x_aaaaaaaaaaaaaaaaaa… has a name of 302 bytes; the limit is 256",
    ),
    "null_in_a_name.csv": ("item_id,image,x_\0\n", "line 1: the name of the column 'x_\\x00' holds a null"),
    "cell.csv": (
        f"item_id,image,prompt\na,1.png,\nb,2.png,{'p' * 70_000}\n",
        "line 3: column prompt has 70,000 bytes; the limit is 65,536. Shorten the cell",
    ),
    "letters_of_two_bytes.csv": (f"item_id,image,x_a\na,b,{'é' * 33_000}\n", "column x_a has 66,000 bytes"),
    "quote.csv": (
        'item_id,image\na,"1.png\n' + "b,2.png\n" * 300_000,
        "line 2: a cell of more than 131,072 characters; the limit is 65,536. Look for a quote that never",
    ),
    "row_of_many_lines.csv": (
        "item_id,image\na" + ',"\n"' * 500_000,
        "the row has 1,048,580 bytes or more; the limit is 1,048,576. Look for a quote or a line",
    ),
    "header.csv": (f'item_id,"{"x" * 200_000}",image\n', "line 1: a cell of more than 131,072 characters"),
    "line.csv": ("item_id,image\na," + "b" * 2 * MEBIBYTE, "line 2: the row has 1,048,577 bytes or more"),
    "line.jsonl": ('{"item_id":"' + "a" * 2 * MEBIBYTE, "line 1: the row has 1,048,577 bytes or more"),
    "names.jsonl": (
        "\n".join(json.dumps({"item_id": str(i), "image": "a", f"x_{i}": "1"}) for i in range(5000)),
        "line 499: 501 columns; the limit is 500",
    ),
    "names_of_one_row.jsonl": (
        json.dumps({"item_id": "a", "image": "a"} | {f"x_{i}": 1 for i in range(50_000)}),
        "line 1: 50,002 columns; the limit is 500",
    ),
    "cell.jsonl": (
        '{"item_id":"a","image":"b"}\n{"item_id":"b","image":"' + "c" * 70_000 + '"}',
        "line 2: column image has 70,000 bytes; the limit is 65,536",
    ),
    "null_in_a_name.jsonl": ('{"item_id":"a","image":"b","x_\\u0000":1}', "holds a null character"),
    "twice.jsonl": (
        '{"item_id":"a","image":"b","item_id":"c"}\n',
        "1 fault\n  line 1: not a JSON object of plain values: the name item_id comes twice; keep one",
    ),
    "twice_in_a_long_row.jsonl": (
        "{" + ",".join(f'"x_{i}":1' for i in range(70_000)) + ',"x_0":1}',
        "the name x_0 comes twice",
    ),
    "deep.jsonl": (
        '{"item_id":' + "[" * 500_000,
        "line 1: not a JSON object of plain values: maximum recursion",
    ),
}


@pytest.mark.parametrize("name", TEXTS)
def test_texts_beyond_a_limit_are_refused_with_their_line(tmp_path: Path, name: str) -> None:
    text, expected = TEXTS[name]
    (tmp_path / name).write_text(text)
    assert expected in refused(tmp_path / name)


def test_a_line_of_utf16_without_end_is_refused(tmp_path: Path) -> None:
    (tmp_path / "m.csv").write_bytes(("item_id\timage\na\t" + "b" * MEBIBYTE).encode("utf-16"))
    assert "line 2: the row has 1,048,578 bytes or more" in refused(tmp_path / "m.csv")


def test_a_row_of_very_many_empty_cells_is_read_in_a_moment(tmp_path: Path) -> None:
    (tmp_path / "m.csv").write_text("item_id,image\na,b" + "," * 1_000_000 + "\n")
    assert read_manifest(str(tmp_path / "m.csv")).table["item_id"].to_pylist() == ["a"]


@pytest.mark.parametrize("name", ["m.csv.gz", "m.parquet.zst", "m.gz"])
def test_compressed_files_are_not_read(tmp_path: Path, name: str) -> None:
    assert "not a manifest; name it .parquet, .csv" in refused(tmp_path / name)


def test_what_is_within_the_limits_is_read(tmp_path: Path) -> None:
    names = [f"x_{i}" for i in range(limits.MAX_COLUMNS - 2)]
    wide = {**BASE, **{name: ["v" * limits.MAX_CELL_BYTES if name == "x_7" else "1", None] for name in names}}
    pq.write_table(pa.table(wide), tmp_path / "m.parquet")
    (tmp_path / "m.jsonl").write_text(
        "\n".join(json.dumps({name: column[row] for name, column in wide.items()}) for row in (0, 1))
    )
    parquet, jsonl = (read_manifest(str(tmp_path / name)).table for name in ("m.parquet", "m.jsonl"))
    assert parquet.drop(["row"]) == jsonl.drop(["row"]) and len(parquet["x_7"][0].as_py()) == 65_536


@pytest.mark.parametrize("name", ["m.csv", "m.jsonl", "m.parquet"])
def test_rows_and_bytes_of_a_file_are_limited(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = [str(i) for i in range(20)]
    path = tmp_path / name
    pq.write_table(pa.table({"item_id": ids, "image": ids}), tmp_path / "m.parquet")
    (tmp_path / "m.csv").write_text("item_id,image\n" + "".join(f"{i},{i}\n" for i in ids))
    (tmp_path / "m.jsonl").write_text("\n".join(json.dumps({"item_id": i, "image": i}) for i in ids))
    for limit, expected in (("MAX_ROWS", "it has 20 rows or more"), ("MAX_BYTES", "its first 20 rows take ")):
        with monkeypatch.context() as patch:
            patch.setattr(limits, limit, 19 if limit == "MAX_ROWS" else path.stat().st_size)
            assert expected in refused(path)


def test_a_late_column_counts_for_all_rows_before_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten million short rows and then one with 500 columns would be twenty gigabytes of nulls."""
    rows: list[dict[str, Any]] = [{"item_id": str(i), "image": "a"} for i in range(1000)]
    rows[-1] |= {f"x_{i}": "1" for i in range(400)}
    (tmp_path / "m.jsonl").write_text("\n".join(map(json.dumps, rows)))
    monkeypatch.setattr("manifests.reading.chunks.CHUNK_ROWS", 999)
    monkeypatch.setattr(limits, "MAX_BYTES", 1000 * 400 * 4)
    assert "its first 1,000 rows take 1," in refused(tmp_path / "m.jsonl")


def dictionary(size: int, rows: int) -> pa.Table:
    """One long value, repeated."""
    column = pa.DictionaryArray.from_arrays(pa.array([0] * rows, pa.int8()), ["x" * size])
    one = pa.DictionaryArray.from_arrays(pa.array([0] * rows, pa.int8()), ["a"])
    return pa.table({"item_id": one, "image": one, "x_a": column})


def plain(size: int, rows: int) -> pa.Table:
    return pa.table({"item_id": ["a"] * rows, "image": ["b"] * rows, "x_a": ["x" * size] * rows})


def one_column(page: bytes, rows: int = 1, **more: Any) -> bytes:
    """A file whose image is `page`, byte by byte."""
    ids = raw.data_page(b"\1\0\0\0a", 5, 1)
    chunks = [raw.chunk("item_id", 4, len(ids), 1), raw.chunk("image", 4 + len(ids), len(page), 1, **more)]
    return raw.file(ids + page, [raw.column("item_id"), raw.column("image")], rows, [raw.group(chunks, 1)])


GOOD_PAGE = raw.data_page(b"\1\0\0\0b", 5, 1)
NO_DICTIONARY = {"use_dictionary": False, "write_statistics": False, "compression": "zstd"}
DELTA = {**NO_DICTIONARY, "column_encoding": dict.fromkeys(("item_id", "image", "x_a"), "DELTA_BYTE_ARRAY")}
EMPTY_CHUNKS = [{2: 0}] * 100_000

TABLES: dict[str, tuple[pa.Table, dict[str, Any], str]] = {
    "dictionary": (
        dictionary(1_000_000, 100_000),
        {},
        "row 1: column x_a has 1,000,000 bytes; the limit is 65,536. Shorten the cell",
    ),
    "dictionary_of_allowed_cells": (
        dictionary(60_000, 50_000),
        {"store_schema": False, "compression": "zstd"},
        "rows take 2",
    ),
    "long_cells": (plain(200_000, 100), NO_DICTIONARY, "row 1: column x_a has 200,000 bytes"),
    "repeated_prefixes": (plain(200_000, 500), DELTA, "column x_a has 200,000 bytes"),
    "columns": (
        pa.table({**BASE, **{f"x_{i}": ["1", "2"] for i in range(4000)}}),
        {},
        "4,002 columns; the limit is 500",
    ),
    "nested": (pa.table({**BASE, "x_l": [[1] * 9, [2]]}), {}, "column x_l holds list<element: int64>"),
}
FILES: dict[str, tuple[bytes, str]] = {
    "rows": (
        one_column(GOOD_PAGE, rows=2**40),
        "it has 1,099,511,627,776 rows or more; the limit is 20,000,000",
    ),
    "footer": (
        raw.file(b"", [raw.column("item_id")], 0, [raw.group(EMPTY_CHUNKS, 0)] * 20),
        "the footer has 6,000,",
    ),
    "page_size": (
        one_column(raw.data_page(b"\1\0\0\0b", 2**31 - 1, 1), codec=raw.GZIP),
        "the pages of row group 1 take 2,147,483,652 bytes at once; the limit is 536,870,912",
    ),
    "page_outside": (one_column(raw.data_page(b"", 5, 1)[:-1] + b"\x7f"), "not readable as Parquet"),
    "no_page": (one_column(b"\xff" * 20), "not readable as Parquet: no page begins at byte"),
    "wrong_statistics": (
        one_column(GOOD_PAGE, statistics={2: [1, 1, 1, 1]}),
        "not readable as Parquet: Repetition level histogram size mismatch",
    ),
    "name": (
        raw.file(b"", [raw.column("item_id"), {**raw.column("image"), 4: b"\xff"}], 0, []),
        "not readable as Parquet: 'utf-8' codec",
    ),
}

READ = """
import json, re, sys
from pathlib import Path
from manifests.reading import limits
from manifests.reading.schema import read_manifest
from restore.errors import ManifestError
limits.MAX_BYTES = 2**28
found = {}
for path in sys.argv[1:]:
    try:
        read_manifest(path)
    except ManifestError as error:
        found[path] = str(error)
# ru_maxrss begins with the memory of the process that started this one.
peak = re.search(r"VmHWM:\\s*(\\d+) kB", Path("/proc/self/status").read_text())
print(json.dumps([found, int(peak[1]) * 1024]))
"""


@pytest.fixture(scope="module")
def bombs(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, str], int]:
    """What is said of each Parquet file, and the peak memory of the process that read them all."""
    folder = tmp_path_factory.mktemp("bombs")
    for name, (table, options, _) in TABLES.items():
        pq.write_table(table, folder / f"{name}.parquet", **options)
        assert (folder / f"{name}.parquet").stat().st_size < MEBIBYTE
    for name, (data, _) in FILES.items():
        (folder / f"{name}.parquet").write_bytes(data)
    paths = [str(folder / f"{name}.parquet") for name in (*TABLES, *FILES)]
    ran = subprocess.run([sys.executable, "-c", READ, *paths], check=False, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    found, peak = json.loads(ran.stdout)
    return {Path(path).stem: message for path, message in found.items()}, peak


@pytest.mark.parametrize("name", [*TABLES, *FILES])
def test_parquet_beyond_a_limit_is_refused(bombs: tuple[dict[str, str], int], name: str) -> None:
    expected = TABLES[name][-1] if name in TABLES else FILES[name][-1]
    assert expected in bombs[0][name]


def test_parquet_bombs_take_bounded_memory(bombs: tuple[dict[str, str], int]) -> None:
    """A small file of one long value, repeated, stood for 100 GB. A limit of 256 MiB stands in for 4 GiB."""
    assert bombs[1] < 900 * MEBIBYTE


LIMITS = [name for name in vars(limits) if name.startswith("MAX_")]


@pytest.mark.parametrize("name", LIMITS)
def test_the_page_states_each_limit(name: str) -> None:
    page = Path(limits.__file__).parents[1] / "README.md"
    assert f" {getattr(limits, name):,}" in page.read_text()


def spoiled(data: bytes, random: Random) -> bytes:
    """Some bytes changed, removed or added, half of them near the end, where Parquet has its footer."""
    out = bytearray(data)
    for _ in range(random.choice((1, 1, 2, 4, 16))):
        first = 0 if random.random() < 0.5 else max(0, len(out) - 1500)
        at = random.randrange(first, len(out))
        out[at : at + random.randrange(3)] = random.randbytes(random.randrange(3))
    return bytes(out)


def test_manifests_changed_at_random_are_read_or_refused(tmp_path: Path) -> None:
    rows = [{"item_id": f"ä{i}", "image": "b.png", "seed": i, "x_a": 'say "x", y'} for i in range(20)]
    table = pa.Table.from_pylist(rows)
    sources = {"csv": b"item_id,image,x_a\r\n" + b'"a","b.png","x,""y\n"\r\n' * 20}
    sources["jsonl"] = "\n".join(map(json.dumps, rows)).encode()
    for options in ({}, {"use_dictionary": False}, {"data_page_version": "2.0", "row_group_size": 7}):
        pq.write_table(table, tmp_path / "m", **options)
        sources[f"{len(sources)}.parquet"] = (tmp_path / "m").read_bytes()
    random = Random(13)
    for number in range(20):
        extension = random.choice(list(sources))
        path = tmp_path / f"{number}.{extension}"
        path.write_bytes(spoiled(sources[extension], random))
        with suppress(ManifestError):
            read_manifest(str(path))


def test_a_parquet_manifest_in_a_store_is_read_and_limited(
    tmp_path: Path, s3: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    pq.write_table(pa.table(BASE), tmp_path / "m.parquet")
    uri = f"s3://{s3.fresh_bucket()}/m.parquet"
    s3.client.upload_file(str(tmp_path / "m.parquet"), uri.split("/")[2], "m.parquet")
    assert read_manifest(uri).table["image"][0].as_py() == uri.replace("m.parquet", "1.png")
    monkeypatch.setattr(limits, "MAX_BYTES", 100)
    with pytest.raises(ManifestError, match=r"m\.parquet: the file has [0-9,]+ bytes; the limit is 100"):
        read_manifest(uri)


def test_a_file_made_byte_by_byte_is_read(tmp_path: Path) -> None:
    (tmp_path / "m.parquet").write_bytes(one_column(GOOD_PAGE))
    (row,) = read_manifest(str(tmp_path / "m.parquet")).table.to_pylist()
    assert (row["item_id"], row["image"]) == ("a", f"{tmp_path}/b")

"""Manifests: three formats to one shape, and every fault named with its row."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from manifests.planning.versions import fill_versions
from manifests.query import sql
from manifests.reading.schema import NORMAL_SCHEMA, URIS, overrides_json, read_manifest
from restore.errors import ItemError, ManifestError
from restore.identity import canonical
from restore.identity import overrides_json as python_overrides_json
from restore.recipe import override_kinds
from restore.storage import versions
from restore.storage.access import AccessPolicy
from restore.storage.uris import resolve

CON = duckdb.connect()
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=12) | st.sampled_from(
    ["", "\x00", "\x1f", "\x7f", "\u2028", "\\u001F", '"', "\\", "\U0001f4f7", "é", "'", "a\nb"]
)
NUMBERS = st.sampled_from(
    [
        "+08",
        "-0",
        "1e2",
        ".5",
        "5.",
        "-0.0",
        "1e999",
        "1e-400",
        "1_000",
        "٣",
        "7.0",
        "1e16",
        "0.1",
        "1\n",
        " 7",
    ]
)
VALUES = (
    TEXT
    | NUMBERS
    | st.integers(-(10**19), 10**19).map(str)
    | st.floats(allow_nan=False, allow_infinity=False).map(repr)
    | st.sampled_from(["true", "FALSE", "Yes", "no", "0", "1", "TrUe", "tru"])
)


def written(folder: Path, name: str, text: str | bytes) -> str:
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return str(path)


def faults(uri: str) -> str:
    with pytest.raises(ManifestError) as error:
        read_manifest(uri)
    return str(error.value)


def test_all_formats_give_the_same_rows(tmp_path: Path) -> None:
    rows = [
        {
            "item_id": "a/1",
            "image": "scans/1.tif",
            "mask": "m 1.png",
            "seed": 7,
            "refine": False,
            "x_box": "3",
        },
        {
            "item_id": "ä",
            "image": "s3://b/2.tif",
            "guidance_scale": 7.5,
            "prompt": 'say "hi", twice',
            "priority": 2,
        },
        {"item_id": "7", "image": "/abs/3.tif", "mask_version": "v", "reference": "../truth.png", "seed": 0},
    ]
    names = list(dict.fromkeys(name for row in rows for name in row))
    table = pa.table({name: [row.get(name) for row in rows] for name in names})
    pq.write_table(table, tmp_path / "m.parquet")
    (tmp_path / "m.jsonl").write_text("\n".join(map(json.dumps, rows)))
    pa_csv.write_csv(table, tmp_path / "m.csv")
    parquet, jsonl, csv = (read_manifest(str(tmp_path / f"m.{ext}")) for ext in ("parquet", "jsonl", "csv"))
    assert parquet.table.drop(["row"]) == jsonl.table.drop(["row"]) == csv.table.drop(["row"])
    assert parquet.table["row"].to_pylist() == jsonl.table["row"].to_pylist() == [1, 2, 3]
    assert csv.table["row"].to_pylist() == [2, 3, 4]
    assert csv.table.schema == pa.schema([*NORMAL_SCHEMA, pa.field("x_box", pa.string())])
    assert csv.extra == ("x_box",)
    assert csv.overrides == ("prompt", "guidance_scale", "refine", "seed")
    first, second, third = parquet.table.to_pylist()
    assert first["image"] == f"{tmp_path}/scans/1.tif" and first["mask"] == f"{tmp_path}/m 1.png"
    assert first["overrides"] == '{"refine":false,"seed":7}'
    assert second["overrides"] == '{"guidance_scale":7.5,"prompt":"say \\"hi\\", twice"}'
    assert (second["image"], second["priority"]) == ("s3://b/2.tif", 2.0)
    assert (third["reference"], third["overrides"]) == (str(tmp_path.parent / "truth.png"), '{"seed":0}')


def test_csv_counts_lines_as_an_editor_does(tmp_path: Path) -> None:
    text = '\ufeffitem_id,image,prompt\r\na,1.png,"two\r\nlines"\r\n\r\nb,2.png,""\r\n'
    table = read_manifest(written(tmp_path, "m.csv", text)).table
    assert table["row"].to_pylist() == [2, 5]
    assert table["overrides"].to_pylist() == ['{"prompt":"two\\r\\nlines"}', "{}"]


def test_parquet_types_of_all_kinds(tmp_path: Path) -> None:
    table = pa.table(
        {
            "item_id": pa.array([1, 2], pa.int32()),
            "image": pa.array(["a.png", "a.png"]).dictionary_encode(),
            "mask": pa.array(["m.png", ""], pa.large_string()),
            "seed": pa.array([5.0, float("nan")], pa.float64()),  # as pandas writes integers with a gap
            "guidance_scale": pa.array([7.25, None], pa.float32()),
            "refine": [True, None],
            "x_date": pa.array([0, None], pa.date32()),
            "image_bytes": pa.array([1, 2], pa.int64()),
        }
    )
    pq.write_table(table, tmp_path / "m.parquet")
    first, second = read_manifest(str(tmp_path / "m.parquet")).table.to_pylist()
    assert first["item_id"] == "1" and first["x_date"] == "1970-01-01"
    assert first["overrides"] == '{"guidance_scale":7.25,"refine":true,"seed":"5.0"}'
    assert (second["mask"], second["overrides"], second["x_date"]) == (None, "{}", None)


def test_bad_override_values_stay_for_their_row(tmp_path: Path) -> None:
    text = "item_id,image,seed,refine,x_a\na,1.png,many,maybe,1.10\n"
    (row,) = read_manifest(written(tmp_path, "m.csv", text)).table.to_pylist()
    assert (row["overrides"], row["x_a"]) == ('{"refine":"maybe","seed":"many"}', "1.10")


def test_every_fault_is_reported_at_once(tmp_path: Path) -> None:
    text = (
        "item_id,image,promt,dtype,models.vae,X_a,colour\n"
        "a//b,1.png,,,,,\n"
        "dup,2.png,,,,,\n"
        "short,3.png\n"
        "noimage,,,,,,\n"
        "dup,4.png,,,,,\n"
    )
    message = faults(written(tmp_path, "m.csv", text))
    assert message.splitlines()[0].endswith("m.csv: 9 faults")
    for expected in (
        "column promt is not known; did you mean prompt?",
        "column dtype: a worker fixes this",
        "column models.vae: a worker fixes this",
        "column X_a is not known",
        "column colour is not known; ",
        "line 2: item_id 'a//b' has an empty segment",
        "line 3: item_id 'dup' comes 2 times: 3, 6",
        "line 4: 2 cells where the header has 7",
        "line 5: item_id 'noimage' has no image",
    ):
        assert expected in message


@pytest.mark.parametrize(
    ("item_id", "rule"),
    [
        ("", "is empty"),
        ("/a", "empty segment"),
        ("a/", "empty segment"),
        ("a/../b", "segment . or .."),
        (".", "segment . or .."),
        ("a\\b", "holds one of"),
        ("a::b", "holds one of"),
        ("a[1]", "holds one of"),
        ("what?", "holds one of"),
        ("a\tb", "control character"),
        ("a\x00b", "control character"),
        ("a\x85b", "control character"),
        ("e\u0301", "NFC"),
        ("é" * 101, "segment longer than 200 bytes"),
        ("/".join(["a" * 150] * 5), "longer than 700 bytes"),
    ],
)
def test_bad_item_ids_name_their_rule(tmp_path: Path, item_id: str, rule: str) -> None:
    message = faults(written(tmp_path, "m.jsonl", json.dumps({"item_id": item_id, "image": "a.png"})))
    assert "1 fault\n" in message and rule in message


@pytest.mark.parametrize("item_id", ["a", "ä/é ü", ".hidden", "a..b", "100%+1", "写真/1", "a:b", "é" * 100])
def test_good_item_ids_pass(tmp_path: Path, item_id: str) -> None:
    uri = written(tmp_path, "m.jsonl", json.dumps({"item_id": item_id, "image": "a.png"}))
    assert read_manifest(uri).table["item_id"].to_pylist() == [item_id]


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("m.csv", b"", "the file is empty"),
        ("m.jsonl", b"", "the file is empty"),
        ("m.parquet", b"", "not readable as Parquet"),
        ("m.parquet", b"PAR1 junk PAR1", "not readable as Parquet"),
        ("m.csv", b"item_id,image\na,\xff.png\n", "line 2: not UTF-8 at byte 3"),
        ("m.csv", b'item_id,image\na,"1.png\n', "not readable as CSV"),
        ("m.csv", b"item_id,mask\na,1.png\n", "column image is missing"),
        ("m.csv", b"item_id,image,image\n", "column image comes twice"),
        ("m.csv", b"item_id,,image\n", "a column has no name"),
        ("m.csv", b"item_id,image,\na,1.png,x\n", "line 2: 3 cells where the header has 2"),
        ("m.csv", b"item_id,image,x_a,x_A\n", "column x_A comes twice"),
        ("m.jsonl", b'{"item_id":"a","image":"1"}\n{"item_id"\n', "line 2: not JSON"),
        ("m.jsonl", b"[1]\n", "line 1: not a JSON object"),
        ("m.jsonl", b'{"item_id":"a","image":"1","seed":[1]}\n', "seed holds a list"),
        ("m.jsonl", b'{"item_id":"a","image":"1","seed":NaN}\n', "NaN is not JSON"),
        ("m.jsonl", b'{"item_id":"\\ud800","image":"1"}\n', "half a surrogate pair"),
        ("m.jsonl", b'{"item_id":"a","image":"\xe9"}\n', "line 1: not UTF-8"),
        ("m.txt", b"item_id,image\n", "name it .parquet, .csv"),
    ],
)
def test_unreadable_files(tmp_path: Path, name: str, content: bytes, expected: str) -> None:
    assert expected in faults(written(tmp_path, name, content))


def test_bad_utf8_and_nested_columns_in_parquet(tmp_path: Path) -> None:
    bad = pa.Array.from_buffers(
        pa.string(), 1, [None, pa.py_buffer(b"\0\0\0\0\1\0\0\0"), pa.py_buffer(b"\xff")]
    )
    pq.write_table(pa.table({"item_id": bad, "image": ["a"]}), tmp_path / "utf8.parquet")
    assert "not readable as Parquet" in faults(str(tmp_path / "utf8.parquet"))
    pq.write_table(pa.table({"item_id": ["a"], "image": ["a"], "x_l": [[1]]}), tmp_path / "nested.parquet")
    assert "column x_l holds list" in faults(str(tmp_path / "nested.parquet"))


def test_many_faults_are_counted_not_listed(tmp_path: Path) -> None:
    lines = "".join(f'{{"item_id":"a//{i}","image":"i"}}\n' for i in range(1500))
    message = faults(written(tmp_path, "m.jsonl", lines))
    assert "1500 faults" in message and message.endswith("and 1400 more")
    assert len(message.splitlines()) == 102


def test_no_rows_is_a_manifest_and_no_file_is_not(tmp_path: Path) -> None:
    assert len(read_manifest(written(tmp_path, "m.csv", "item_id,image\n")).table) == 0
    assert "no such file" in faults(str(tmp_path / "none.csv"))


def test_json_lines_of_different_columns_over_chunks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("manifests.reading.chunks.CHUNK_ROWS", 2)
    rows: list[dict[str, Any]] = [{"item_id": str(i), "image": "a"} for i in range(5)]
    rows[4] |= {"seed": 3, "x_late": 1.50}
    manifest = read_manifest(written(tmp_path, "m.jsonl", "\n\n".join(map(json.dumps, rows))))
    assert manifest.table["row"].to_pylist() == [1, 3, 5, 7, 9]
    assert manifest.table["overrides"].to_pylist() == ["{}"] * 4 + ['{"seed":3}']
    assert manifest.table["x_late"].to_pylist() == [None] * 4 + ["1.5"]


SEGMENTS = st.sampled_from(
    ["a", "b c", "..", ".", "", "é", "x.png", "%20", ".h", "a:b", "s3:", "file:", "?#"]
)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.lists(SEGMENTS, min_size=1, max_size=5).map("/".join).filter(bool), min_size=1, max_size=8)
)
def test_uris_resolve_as_storage_resolves_them(tmp_path_factory: Any, uris: list[str]) -> None:
    uris = [*uris, "s3://b/./k", "file:///a/../b", "FILE:///x", "/a/./b", "/a//b", "S3://b/k"]
    path = tmp_path_factory.mktemp("m") / "m.jsonl"
    path.write_text("\n".join(json.dumps({"item_id": str(i), "image": uri}) for i, uri in enumerate(uris)))
    assert read_manifest(str(path)).table["image"].to_pylist() == [expected_uri(u, str(path)) for u in uris]


def expected_uri(uri: str, base: str) -> str:
    try:
        return resolve(uri, base)
    except ItemError:
        return uri


@settings(max_examples=100, deadline=None)
@given(st.dictionaries(st.sampled_from(sorted(override_kinds())), VALUES, max_size=6))
def test_sql_writes_overrides_as_python_does(columns: dict[str, str]) -> None:
    CON.register("one", pa.table({"row": [1], **{name: [value] for name, value in columns.items()}}))
    ((found,),) = CON.sql(f"SELECT {overrides_json({name: name for name in columns})} FROM one").fetchall()
    assert found == python_overrides_json(columns)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.none() | TEXT, min_size=1, max_size=5))
def test_sql_writes_text_as_python_does(values: list[str | None]) -> None:
    every = [*values, "".join(map(chr, range(0x80)))]
    CON.register("texts", pa.table({"v": pa.array(every, pa.string())}))
    found = CON.sql(f"SELECT {sql.json_text('v')} FROM texts").fetchall()
    assert [text for (text,) in found] == [canonical(value) for value in every]


@pytest.mark.parametrize(
    "uri",
    [
        "s3://AKIA:hunter2@bucket/a.png",
        "https://user:hunter2@host/a.png",
        "https://host/a.png?X-Amz-Signature=hunter2",
        "abfs://container:hunter2@account.dfs.core.windows.net/a.png",
        "zip://a.png::https://user:hunter2@host/a.zip",
        "a.png::s3://AKIA:hunter2@bucket/a.zip",
        "FILE://x::s3://AKIA:hunter2@bucket/../a.zip",
    ],
)
def test_a_secret_in_a_uri_is_not_read_into_the_plan(tmp_path: Path, uri: str) -> None:
    manifest = tmp_path / "m.jsonl"
    rows = [{"item_id": name, "image": "b.png", name: uri} for name in URIS]
    manifest.write_text("".join(json.dumps(row) + "\n" for row in rows))
    table = read_manifest(str(manifest)).table
    assert "hunter2" not in str(table.to_pylist())
    policy = AccessPolicy((str(tmp_path),), allow_http=True)
    kept = {row["item_id"]: row[row["item_id"]] for row in table.to_pylist()}
    for name in URIS:
        with pytest.raises(ItemError):
            policy.check(kept[name])


def test_azures_way_to_name_an_account_is_no_secret(tmp_path: Path) -> None:
    manifest, uri = tmp_path / "m.csv", "abfs://scans@account.dfs.core.windows.net/a b.png"
    manifest.write_text(f"item_id,image\na,{uri}\n")
    assert read_manifest(str(manifest)).table["image"].to_pylist() == [uri]


@pytest.mark.parametrize(
    "uri",
    ["s3://k:hunter2@b/m.csv", "memory://x/m.csv", "zip://m.csv::/a.zip", "https://h/m.csv?token=hunter2"],
)
def test_a_manifest_is_read_from_no_such_uri(uri: str) -> None:
    with pytest.raises(ManifestError, match="not allowed") as raised:
        read_manifest(uri)
    assert "hunter2" not in str(raised.value)


def test_versions_are_filled_where_none_was_given(tmp_path: Path) -> None:
    for name in ("a.png", "m.png"):
        (tmp_path / name).write_bytes(name.encode())
    outside = tmp_path.parent / "outside.png"
    outside.write_bytes(b"secret")
    rows = [
        {"item_id": "filled", "image": "a.png", "mask": "m.png"},
        {
            "item_id": "pinned",
            "image": "a.png",
            "image_version": '"e1"',
            "mask": "m.png",
            "mask_version": "e2",
        },
        {"item_id": "missing", "image": "none.png", "mask": "none.png"},
        {"item_id": "unmasked", "image": "a.png", "mask_version": "e2"},
        {"item_id": "denied", "image": str(outside)},
        {"item_id": "listed", "image": "a.png", "image_version": "e1", "image_mtime": "2026-01-01T00:00:00Z"},
    ]
    manifest = read_manifest(written(tmp_path, "m.jsonl", "\n".join(map(json.dumps, rows))))
    table = fill_versions(manifest.table, AccessPolicy(roots=(str(tmp_path.resolve()),))).to_table()
    now = versions([f"{tmp_path}/a.png", f"{tmp_path}/m.png"])
    image, mask = now[f"{tmp_path}/a.png"], now[f"{tmp_path}/m.png"]
    columns = ["image_version", "mask_version", "image_pinned", "mask_pinned"]
    assert [tuple(row.values()) for row in table.select(columns).to_pylist()] == [
        (image, mask, False, False),
        ("e1", "e2", True, True),
        (None, None, False, False),
        (image, None, False, False),
        (None, None, False, False),
        ("e1", None, False, False),
    ]
    assert image is not None and mask is not None
    assert table["item_id"].to_pylist() == [row["item_id"] for row in rows]

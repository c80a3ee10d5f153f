"""CSV as spreadsheets write it: separators, encodings, empty columns and rows."""

from __future__ import annotations

import logging
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from manifests.reading.schema import read_manifest
from manifests.reading.spreadsheet import separator_of
from restore.errors import ManifestError

ROWS = [("a", "1.png", "a sky; clouds, birds"), ("b", "2.png", "a\ttab")]


def rows(path: Path) -> list[tuple[str, str, str]]:
    table = read_manifest(str(path)).table
    prompts = [text.partition('"prompt":"')[2].rstrip('"}') for text in table["overrides"].to_pylist()]
    images = [Path(image).name for image in table["image"].to_pylist()]
    return list(zip(table["item_id"].to_pylist(), images, prompts, strict=True))


def written(tmp_path: Path, text: str, encoding: str = "utf-8") -> Path:
    path = tmp_path / "m.csv"
    path.write_bytes(text.encode(encoding))
    return path


@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("ending", ["\n", "\r\n"])
def test_separators_and_encodings(tmp_path: Path, separator: str, encoding: str, ending: str) -> None:
    lines = ["item_id image prompt".replace(" ", separator)]
    lines += [f'{item}{separator}{image}{separator}"{prompt}"' for item, image, prompt in ROWS]
    path = written(tmp_path, ending.join(lines) + ending, encoding)
    assert rows(path) == [(item, image, prompt.replace("\t", "\\t")) for item, image, prompt in ROWS]


def test_a_comma_csv_whose_prompts_hold_semicolons_stays_one(tmp_path: Path) -> None:
    path = written(tmp_path, "item_id,image,prompt\na,1.png,one;two;three\nb,2.png,four;five;six\n")
    assert rows(path) == [("a", "1.png", "one;two;three"), ("b", "2.png", "four;five;six")]


@pytest.mark.parametrize("hint", ["sep=;", "SEP=;", "sep=|"])
def test_excels_hint_is_followed(tmp_path: Path, hint: str) -> None:
    separator = hint[-1]
    path = written(tmp_path, f"{hint}\r\nitem_id{separator}image\r\na{separator}1.png\r\n")
    assert read_manifest(str(path)).table["item_id"].to_pylist() == ["a"]
    assert read_manifest(str(path)).table["row"].to_pylist() == [3], "lines are counted as an editor does"


@pytest.mark.parametrize("separator", [";", "\t"])
def test_a_sidecar_without_images_is_separated_too(separator: str) -> None:
    found, lines, before = separator_of(iter([f"item_id{separator}prompt\n", "a"]))
    assert (found, before, next(lines)) == (separator, 0, f"item_id{separator}prompt\n")


def test_trailing_separators_and_empty_rows_are_passed_over(tmp_path: Path) -> None:
    path = written(tmp_path, "item_id,image,mask,,\na,1.png,m.png,,\nb,2.png,,,\n,,,,\n , ,\n\n")
    table = read_manifest(str(path)).table
    assert table["item_id"].to_pylist() == ["a", "b"] and table["mask"].null_count == 1
    assert table["row"].to_pylist() == [2, 3]


def test_cells_beyond_the_header_are_a_fault(tmp_path: Path) -> None:
    path = written(tmp_path, "item_id;image;;\na;1.png;;note\n")
    with pytest.raises(ManifestError, match=r"line 2: 4 cells where the header has 2; .*a semicolon"):
        read_manifest(str(path))


def test_a_cut_utf16_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "m.csv"
    path.write_bytes("item_id,image\na,1.png\n".encode("utf-16")[:-1])
    with pytest.raises(ManifestError, match="not UTF-16 to its end"):
        read_manifest(str(path))


def test_the_index_of_pandas_is_dropped_with_a_word(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    table = pa.table({"item_id": ["a"], "image": ["1.png"], "__index_level_0__": [7]})
    pq.write_table(table, tmp_path / "m.parquet")
    with caplog.at_level(logging.WARNING):
        manifest = read_manifest(str(tmp_path / "m.parquet"))
    assert manifest.table["item_id"].to_pylist() == ["a"] and "__index_level_0__" in caplog.text

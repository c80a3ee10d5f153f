"""Manifests built from listings: what is paired, what is left out, and that nothing is lost silently."""

from __future__ import annotations

import os
import tempfile
import unicodedata
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from manifests.listing.build import PRESENT, Listed, Sources, build
from manifests.listing.patterns import parse_patterns
from manifests.reading.schema import read_manifest
from restore.errors import ErrorCode, ManifestError, StorageConfigError, UsageError
from restore.storage import fetch, photographs
from restore.storage import parallel_listing as inventory


def put(root: Path, *names: str) -> None:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name.encode(errors="replace"))


def built(tmp_path: Path, *, probe: bool = False, **sources: Any) -> tuple[Listed, dict[str, dict[str, Any]]]:
    """What was found, and the manifest's rows by id; it passes the same check as every manifest."""
    out = tmp_path / "m.parquet"
    given_ = {"images": str(tmp_path / "images"), **sources}
    listed = build(Sources(**given_), str(out), probe=probe)
    assert read_manifest(str(out)).table.num_rows == listed.rows
    rows = pq.read_table(out).to_pylist()
    assert [row["item_id"] for row in rows] == sorted(row["item_id"] for row in rows)
    return listed, {row["item_id"]: row for row in rows}


def masks_of(rows: dict[str, dict[str, Any]], root: Path) -> dict[str, str | None]:
    return {name: row["mask"] and str(Path(row["mask"]).relative_to(root)) for name, row in rows.items()}


def test_parallel_trees_pair_by_stem(tmp_path: Path) -> None:
    put(tmp_path / "images", "box/a.JPG", "box/b.tif", "c.v2.webp", "d.png", "notes.txt")
    put(tmp_path / "masks", "box/a.png", "box/b_mask.TIFF", "c.v2.png", "e.png", "box/a.txt")
    listed, rows = built(tmp_path, masks=str(tmp_path / "masks"))
    assert masks_of(rows, tmp_path / "masks") == {
        "box/a": "box/a.png",
        "box/b": "box/b_mask.TIFF",
        "c.v2": "c.v2.png",
        "d": None,
    }
    assert (listed.photos, listed.rows) == (4, 4)
    assert listed.unpaired_images.first == ("d",)
    assert listed.unpaired_masks.first == ("e.png",)
    assert listed.other_files.first == ("box/a.txt", "notes.txt")


def test_names_of_all_that_lies_there_are_noted(tmp_path: Path) -> None:
    """What is left out of the manifest is still there; below a link or an excluded folder all may be."""
    images = tmp_path / "images"
    put(images, "a.jpg", "b.jpg", "b.png", "c#.jpg", "notes.txt", "e\u0301.jpg", "m/a.png", "out/x.jpg")
    put(tmp_path / "elsewhere", "1.jpg")
    (images / "box").symlink_to(tmp_path / "elsewhere")
    (images / "l.jpg").symlink_to(tmp_path / "elsewhere/1.jpg")
    sources = Sources(images=str(images), masks=str(images / "m"), exclude=(str(images / "out"),))
    build(sources, str(tmp_path / "m.parquet"), present=tmp_path / "present.parquet")
    rows = pq.read_table(tmp_path / "present.parquet", schema=PRESENT).to_pylist()
    below = {row["item_id"] for row in rows if row["below"]}
    assert below == {"box", "l.jpg", "m", "out"}
    assert {row["item_id"] for row in rows if not row["below"]} == {
        *("a", "b", "c#", "notes", "\u00e9", "box", "l", "m", "out")
    }


def test_rows_hold_what_was_listed_and_pin_it(tmp_path: Path) -> None:
    put(tmp_path / "images", "a.jpg", "a_mask.png")
    _, rows = built(tmp_path)
    row, image = rows["a"], tmp_path / "images/a.jpg"
    status = image.stat()
    assert row["image"] == str(image) and row["image_bytes"] == status.st_size
    assert row["image_version"] == f"{status.st_size}-{status.st_mtime_ns}"
    assert row["image_mtime"].timestamp() == pytest.approx(status.st_mtime, abs=1e-5)
    assert row["mask_bytes"] == len("a_mask.png") and row["width"] is None
    found = fetch(row["mask"], version=row["mask_version"], missing=ErrorCode.MASK_NOT_FOUND)
    assert found.data == b"a_mask.png"


def test_masks_among_the_photos(tmp_path: Path) -> None:
    put(tmp_path / "images", "a.jpg", "a_mask.png", "b.jpg", "c_mask.png", "_mask.jpg")
    listed, rows = built(tmp_path)
    assert masks_of(rows, tmp_path / "images") == {"a": "a_mask.png", "b": None, "_mask": None}
    assert listed.unpaired_images.first == ("_mask", "b") and listed.unpaired_masks.first == ("c_mask.png",)
    same, _ = built(tmp_path, masks=f"{tmp_path}/images/")
    assert same == listed


def test_patterns_that_are_given_replace_the_usual_ones(tmp_path: Path) -> None:
    put(tmp_path / "images", "box/a.jpg", "box/a_mask.png", "damage/box/a-x.png", "b.jpg", "b.png")
    _, rows = built(tmp_path, patterns=("damage/{stem}-x.*", "{stem}.png"))
    assert masks_of(rows, tmp_path / "images") == {"box/a": "damage/box/a-x.png", "b": "b.png"}


def test_the_first_pattern_that_gives_a_mask_wins(tmp_path: Path) -> None:
    put(tmp_path / "images", "a.jpg", "a_mask.jpg")
    put(tmp_path / "masks", "a.png", "a_mask.png")
    listed, rows = built(tmp_path, masks=str(tmp_path / "masks"))
    assert masks_of(rows, tmp_path / "masks") == {"a": "a.png", "a_mask": "a_mask.png"}
    assert listed.unpaired_masks.count == listed.ambiguous.count == 0


@pytest.mark.parametrize(
    ("photos", "masks", "claim"),
    [
        (["a.jpg", "a.png"], ["a.png"], "a: 2 photos: a.jpg, a.png"),
        (["a.jpg"], ["a.png", "a.tif"], "a: 2 masks: a.png, a.tif"),
        (["e\u0301.jpg", "\u00e9.jpg"], [], "\u00e9: 2 photos: e\u0301.jpg, \u00e9.jpg"),
        (["a.jpg", "a_mask.jpg"], ["a_mask.png"], "a: a mask of other photos too: a_mask.png"),
    ],
)
def test_what_is_claimed_twice_is_left_out(
    tmp_path: Path, photos: list[str], masks: list[str], claim: str
) -> None:
    put(tmp_path / "images", "z.jpg", *photos)
    put(tmp_path / "masks", "z.png", *masks)
    listed, rows = built(tmp_path, masks=str(tmp_path / "masks"))
    assert list(rows) == ["z"]
    assert listed.ambiguous.first[0] == claim
    assert listed.unpaired_masks.count == 0


def test_names_that_no_id_may_have_are_reported(tmp_path: Path) -> None:
    put(tmp_path / "images", "good.jpg", "q?.jpg", "e\u0301.jpg", f"{'n' * 210}.jpg")
    (tmp_path / "images" / os.fsdecode(b"\xff.jpg")).write_bytes(b"")
    listed, rows = built(tmp_path)
    assert set(rows) == {"good", "\u00e9"}  # of another normal form, the id is put right
    assert rows["\u00e9"]["image"].endswith("e\u0301.jpg")
    assert listed.illegal.count == 3
    named = "\n".join(listed.illegal.first)
    assert all(words in named for words in ("q?.jpg: holds one of", "longer than 200 bytes", "\\xff.jpg"))


def test_hidden_files_and_links_out_of_the_tree(tmp_path: Path) -> None:
    put(tmp_path / "images", "a.jpg", ".b.jpg", ".cache/c.jpg", ".silverprint-1/d.png")
    put(tmp_path / "secret", "s.jpg")
    for name, target in {
        "inside.jpg": "images/a.jpg",
        "out.jpg": "secret/s.jpg",
        "missing.jpg": "none",
        "folder": "secret",
        "loop": "images",
    }.items():
        (tmp_path / "images" / name).symlink_to(tmp_path / target)
    listed, rows = built(tmp_path)
    assert set(rows) == {"a", "inside"}
    assert listed.links.first == ("folder", "loop", "missing.jpg", "out.jpg")


def test_an_output_store_among_the_photos_is_no_source(tmp_path: Path) -> None:
    put(tmp_path / "images", "a.jpg", "images/b.jpg", "out/note.jpg")
    put(tmp_path / "images/out", "images/a.0123.png", "metadata/run=1/part-00000.parquet", "runs/1.json")
    listed, rows = built(tmp_path)
    assert set(rows) == {"a", "images/b", "out/note"}
    assert listed.outputs.count == 3


def test_excluded_folders_are_not_listed(tmp_path: Path) -> None:
    put(tmp_path / "images", "a.jpg", "out/b.jpg", "outside/c.jpg", "masks/a.png")
    images = tmp_path / "images"
    _, rows = built(tmp_path, masks=f"{images}/masks", exclude=(f"{images}/out/",))
    assert masks_of(rows, images) == {"a": "masks/a.png", "outside/c": None}
    with pytest.raises(UsageError, match="lies inside"):
        build(Sources(images=str(images), exclude=(str(tmp_path),)), str(tmp_path / "m.parquet"))


def test_a_masks_folder_above_the_photos(tmp_path: Path) -> None:
    put(tmp_path, "images/a.jpg", "a.png")
    listed, rows = built(tmp_path, masks=str(tmp_path))
    assert rows["a"]["mask"] == f"{tmp_path}/a.png"
    assert listed.unpaired_masks.count == 0


@pytest.mark.parametrize(
    ("name", "text"),
    [
        (
            "s.csv",
            "item_id,prompt,seed,x_box,reference,priority\na,a street,3,one,truth/a.png,2\nb,,,,,\nq,,,,,\n",
        ),
        (
            "s.jsonl",
            '{"item_id": "a", "prompt": "a street", "seed": 3, "x_box": "one"}\n'
            '{"item_id": "a2", "priority": 1}\n{"item_id": "q", "x_late": "y"}\n',
        ),
    ],
)
def test_a_sidecar_is_joined_by_id(tmp_path: Path, name: str, text: str) -> None:
    put(tmp_path / "images", "a.jpg", "b.jpg", "a2.jpg")
    (tmp_path / name).write_text(text)
    listed, rows = built(tmp_path, sidecar=str(tmp_path / name))
    assert (rows["a"]["prompt"], rows["a"]["seed"], rows["a"]["x_box"]) == ("a street", "3", "one")
    assert rows["b"]["prompt"] is None
    assert listed.unknown_in_sidecar.first == ("q",)
    if name == "s.csv":
        assert rows["a"]["reference"] == f"{tmp_path}/truth/a.png"
        assert read_manifest(f"{tmp_path}/m.parquet").table["priority"].to_pylist() == [2.0, None, None]


def test_a_parquet_sidecar_gives_the_overrides_that_its_text_would(tmp_path: Path) -> None:
    put(tmp_path / "images", "\u00e9.jpg")
    table = pa.table({"item_id": ["e\u0301"], "strength": [0.7], "seed": [3], "refine": [False]})
    pq.write_table(table, tmp_path / "s.parquet")
    built(tmp_path, sidecar=str(tmp_path / "s.parquet"))
    overrides = read_manifest(f"{tmp_path}/m.parquet").table["overrides"].to_pylist()
    assert overrides == ['{"refine":false,"seed":3,"strength":0.7}']


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("item_id,promt\na,x\n", "column promt is not known; did you mean prompt"),
        ("item_id,image\na,x\n", "the listing says this"),
        ("item_id,models.inpaint\na,x\n", "set it in the recipe"),
        ("prompt\nx\n", "column item_id is missing"),
        ("item_id,seed\na,1\na,2\n", "line 2: item_id a comes 2 times"),
        ("item_id,seed\n,1\n", "line 2: item_id  is empty"),
        ("item_id,seed,SEED\na,1,2\n", "comes twice"),
    ],
)
def test_faults_of_a_sidecar_stop_the_build(tmp_path: Path, text: str, words: str) -> None:
    put(tmp_path / "images", "a.jpg")
    (tmp_path / "s.csv").write_text(text)
    with pytest.raises(ManifestError, match=words):
        built(tmp_path, sidecar=str(tmp_path / "s.csv"))
    assert not (tmp_path / "m.parquet").exists()


def test_a_probe_reads_headers(tmp_path: Path) -> None:
    put(tmp_path / "images", "broken.png")
    exif = Image.Exif()
    exif[274] = 6
    Image.new("L", (30, 20)).save(tmp_path / "images/a.jpg", exif=exif)
    Image.new("RGBA", (7, 5)).save(tmp_path / "images/b.tif")
    listed, rows = built(tmp_path, probe=True)
    shown = {n: [r[c] for c in ("width", "height", "bit_depth", "color_mode")] for n, r in rows.items()}
    assert shown == {"a": [20, 30, 8, "L"], "b": [7, 5, 8, "RGBA"], "broken": [None] * 4}
    assert listed.unreadable.count == 1 and "image_unreadable" in listed.unreadable.first[0]


@pytest.mark.parametrize(
    ("sources", "out", "words"),
    [
        ({"images": ""}, "m.parquet", "has no name"),
        ({"images": "none"}, "m.parquet", "no such bucket or folder"),
        ({"images": "images/a.jpg"}, "m.parquet", "no such bucket or folder"),
        ({"images": "empty"}, "m.parquet", "no photos among 1 files"),
        ({"images": "images"}, "m.csv", "end in .parquet"),
        ({"images": "https://host/x"}, "m.parquet", "http has no listings"),
        ({"images": "s3://key:hunter2@bucket/x"}, "m.parquet", "credentials in a URI"),
        ({"images": "images", "patterns": ("{stem}.*",)}, "m.parquet", "every photo would be a mask"),
        ({"images": "images", "patterns": ("{stem}*.png",)}, "m.parquet", "only as an extension"),
        ({"images": "images", "patterns": ("mask.png",)}, "m.parquet", "{stem} once"),
    ],
)
def test_what_cannot_be_meant(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sources: Any, out: str, words: str
) -> None:
    put(tmp_path, "images/a.jpg", "empty/readme.txt")
    monkeypatch.chdir(tmp_path)
    with pytest.raises((UsageError, StorageConfigError), match=words) as raised:
        build(Sources(**sources), out)
    assert "hunter2" not in str(raised.value)


STEMS = st.sampled_from(["a", "b", "a_mask", "b_mask", "x/a", "x/e\u0301", "x/\u00e9", "q?", "n[1]"])
NAMES = st.builds("{}.{}".format, STEMS, st.sampled_from(["jpg", "PNG", "tif"]))
PATTERNS = st.sampled_from([(), ("{stem}_mask.*",), ("{stem}.PNG", "{stem}_mask.*"), ("x/{stem}.tif",)])


@given(photos=st.sets(NAMES, min_size=1), masks=st.sets(NAMES), patterns=PATTERNS, together=st.booleans())
@settings(max_examples=25, deadline=None)
def test_every_photo_is_a_row_or_ambiguous_or_illegal(
    photos: set[str], masks: set[str], patterns: tuple[str, ...], together: bool
) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        put(folder / "images", "always.jpg", *photos)
        put(folder / "masks", *masks)
        (folder / "masks").mkdir(exist_ok=True)
        of_masks = None if together else str(folder / "masks")
        listed, rows = built(folder, masks=of_masks, patterns=patterns)
        pictures = {"always.jpg", *photos}
        if together:
            forms = parse_patterns(patterns, same_tree=True)
            pictures = {p for p in pictures if not any(_has_form(p, form) for form in forms)}
        claimed = {text.partition(": ")[0] for text in listed.ambiguous.first}
        bad = {stem(text.partition(": ")[0]) for text in listed.illegal.first}
        assert set(rows) | claimed | bad == {stem(path) for path in pictures}
        assert not set(rows) & claimed and not set(rows) & bad and not claimed & bad
        assert listed.photos == len(pictures)
        assert listed.unpaired_images.count == sum(row["mask"] is None for row in rows.values())
        taken = [row["mask"] for row in rows.values() if row["mask"]]
        assert len(taken) == len(set(taken)), "one mask serves one photo"


def stem(path: str) -> str:
    return unicodedata.normalize("NFC", path.rpartition(".")[0])


def _has_form(path: str, form: Any) -> bool:
    body = path.rpartition(".")[0] if form.any_extension else path
    inner = len(body) - len(form.before) - len(form.after)
    return inner > 0 and body.startswith(form.before) and body.endswith(form.after)


# --- object stores -----------------------------------------------------------------------------------


def fill(s3: Any, bucket: str, *keys: str) -> None:
    client = s3.client
    for key in keys:
        client.put_object(Bucket=bucket, Key=key, Body=key.encode())


def test_all_pages_of_all_folders_are_listed(s3: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    bucket = s3.fresh_bucket()
    flat = {f"many/{n:03d}.jpg" for n in range(430)}  # more than CHILDREN_PAGES pages of the server
    deep = {f"box-{n % 7}/{n % 3}/{n}.jpg" for n in range(120)}
    odd = {"//x.jpg", "box-1//y.jpg", "a b%+?ü.jpg"}
    fill(s3, bucket, *(f"photos/{path}" for path in flat | deep | odd))
    fill(s3, bucket, "photos/.hidden.jpg", "photos/folder/", "photos2/z.jpg", "a.jpg")
    for waiting in (0, 1, inventory.WAITING):  # whole, hardly split, split to the last folder
        monkeypatch.setattr(inventory, "WAITING", waiting)
        found = [entry.path for entry in photographs(f"s3://{bucket}/photos", pytest.fail)]
        assert len(found) == len(set(found))
        assert set(found) == flat | deep | odd


def test_a_manifest_from_a_bucket_into_a_bucket(s3: Any) -> None:
    bucket = s3.fresh_bucket()
    fill(s3, bucket, "in/x/a.jpg", "in/b.jpg", "in/x//c.jpg", "in/x::d.jpg", "masks/x/a.png")
    out = f"s3://{bucket}/manifests/night.parquet"
    sources = Sources(images=f"s3://{bucket}/in/", masks=f"s3://{bucket}/masks")
    for _ in range(2):  # the second replaces the first
        listed = build(sources, out)
    table = read_manifest(out).table
    assert table["image"].to_pylist() == [f"s3://{bucket}/in/b.jpg", f"s3://{bucket}/in/x/a.jpg"]
    assert table["mask"].to_pylist() == [None, f"s3://{bucket}/masks/x/a.png"]
    assert listed.illegal.count == 2
    image, version = table["image"][1].as_py(), table["image_version"][1].as_py()
    assert fetch(image, version=version, missing=ErrorCode.IMAGE_NOT_FOUND).data == b"in/x/a.jpg"


def test_a_missing_bucket_is_reported(s3: Any, tmp_path: Path) -> None:
    with pytest.raises(StorageConfigError, match="no such bucket or folder"):
        build(Sources(images="s3://no-such-bucket/in"), str(tmp_path / "m.parquet"))
    put(tmp_path / "images", "a.jpg")
    with pytest.raises(StorageConfigError, match="no such bucket"):
        build(Sources(images=str(tmp_path / "images")), "s3://no-such-bucket/m.parquet")

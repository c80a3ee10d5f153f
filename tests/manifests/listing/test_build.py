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

from manifests.listing.build import PRESENT, Sources, build
from manifests.listing.found import Listed
from manifests.listing.litter import is_litter
from manifests.listing.patterns import parse_patterns
from manifests.reading.schema import read_manifest
from restore.errors import ErrorCode, ManifestError, StorageConfigError, UsageError
from restore.storage import Entry, LeftOut, fetch, photographs
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
    """What is left out of the manifest is still there; below a link or a folder passed over all may be."""
    images = tmp_path / "images"
    put(images, "a.jpg", "b.jpg", "b.png", "c#.jpg", "notes.txt", "e\u0301.jpg", "m/a.png", "out/x.jpg")
    put(images, "@eaDir/a.jpg/t.jpg", ".h/x.jpg", "50%#/._a.jpg")
    put(tmp_path / "elsewhere", "1.jpg")
    (images / "box").symlink_to(tmp_path / "elsewhere")
    (images / "l.jpg").symlink_to(tmp_path / "elsewhere/1.jpg")
    sources = Sources(images=str(images), masks=str(images / "m"), exclude=(str(images / "out"),))
    build(sources, str(tmp_path / "m.parquet"), present=tmp_path / "present.parquet")
    rows = pq.read_table(tmp_path / "present.parquet", schema=PRESENT).to_pylist()
    below = {row["item_id"] for row in rows if row["below"]}
    assert below == {"box", "l.jpg", "m", "out", "@eaDir", ".h", "50%25%23/._a.jpg"}
    assert {row["item_id"] for row in rows if not row["below"]} == {
        *("a", "b", "c%23", "notes", "\u00e9", "box", "l", "m", "out", "@eaDir", "50%25%23/._a", "")
    }


def test_beside_a_name_that_is_not_utf8_all_may_be_there(tmp_path: Path) -> None:
    """A disk that is mounted with another character set has every name, and none as it was."""
    images = tmp_path / "images"
    put(images, "a.jpg", "box/b.jpg")
    (images / "box" / os.fsdecode(b"gr\xfc\xdfe.jpg")).write_bytes(b"")
    sources = Sources(images=str(images))
    for below in ({"box"}, {"box", ""}):
        build(sources, str(tmp_path / "m.parquet"), present=tmp_path / "present.parquet")
        rows = pq.read_table(tmp_path / "present.parquet", schema=PRESENT).to_pylist()
        assert {row["item_id"] for row in rows if row["below"]} == below
        (images / os.fsdecode(b"\xfc.jpg")).write_bytes(b"")


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


def test_names_that_no_id_may_hold_are_encoded(tmp_path: Path) -> None:
    """The photo is a row, its file keeps its name, and its mask is found as ever."""
    odd = {
        "IMG#12": "IMG%2312",
        "box #3/50% [2]": "box %233/50%25 %5B2%5D",
        "50%/what?": "50%/what%3F",
        "a\\b": "a%5Cb",
        "two\nlines\x1b[31m": "two%0Alines%1B%5B31m",
        "100%": "100%",
        "100%20": "100%20",
        "e\u0301*": "\u00e9%2A",
    }
    put(tmp_path / "images", *(f"{stem}.jpg" for stem in odd))
    put(tmp_path / "masks", *(f"{stem}_mask.png" for stem in odd))
    listed, rows = built(tmp_path, masks=str(tmp_path / "masks"))
    assert {row["image"]: item for item, row in rows.items()} == {
        f"{tmp_path}/images/{stem}.jpg": item for stem, item in odd.items()
    }
    assert {row["mask"]: item for item, row in rows.items()} == {
        f"{tmp_path}/masks/{stem}_mask.png": item for stem, item in odd.items()
    }
    assert listed.left_out == listed.unpaired_masks.count == 0
    for row in rows.values():
        found = fetch(row["image"], version=row["image_version"], missing=ErrorCode.IMAGE_NOT_FOUND)
        assert found.data == str(Path(row["image"]).relative_to(tmp_path / "images")).encode()


def test_a_mask_may_be_named_by_the_id(tmp_path: Path) -> None:
    put(tmp_path / "images", "a#.jpg", "b#.jpg", "b#_mask.png", "b%23_mask.png", "a%23_mask.png")
    listed, rows = built(tmp_path)
    assert masks_of(rows, tmp_path / "images") == {"a%23": "a%23_mask.png"}
    assert listed.ambiguous.first == ("b%23: 2 masks: b#_mask.png, b%23_mask.png",)


def test_an_encoded_name_that_another_file_has_is_ambiguous(tmp_path: Path) -> None:
    """Which of the two an id has meant so far cannot be known, so neither is guessed."""
    put(tmp_path / "images", "IMG#12.jpg", "IMG%2312.jpg", "x%23/a.jpg", "x#/b.jpg")
    listed, rows = built(tmp_path)
    assert set(rows) == {"x%23/a", "x%23/b"}
    assert listed.ambiguous.first == ("IMG%2312: 2 photos: IMG#12.jpg, IMG%2312.jpg",)
    assert listed.left_out == 2


def test_names_of_which_no_id_can_be_made_are_reported(tmp_path: Path) -> None:
    put(tmp_path / "images", "good.jpg", "e\u0301.jpg", f"{'n' * 210}.jpg", f"{'#' * 70}.jpg", "x::y.jpg")
    put(tmp_path / "images", "\\xff.jpg", "/".join(["d" * 150] * 5) + ".jpg")
    for name in (b"\xff.jpg", b"\xff.txt", b"\xff_mask.png"):
        (tmp_path / "images" / os.fsdecode(name)).write_bytes(b"")
    listed, rows = built(tmp_path)
    assert set(rows) == {"good", "\u00e9", "%5Cxff"}  # of another normal form, the id is put right
    assert rows["\u00e9"]["image"].endswith("e\u0301.jpg")
    assert rows["%5Cxff"]["image"] == f"{tmp_path}/images/\\xff.jpg", "this one has a backslash"
    faults = dict(text.rsplit(": ", 1) for text in listed.illegal.first)
    assert faults == {
        f"{'n' * 210}.jpg": "has a segment longer than 200 bytes",
        f"{'#' * 70}.jpg": "has a segment longer than 200 bytes",
        "/".join(["d" * 150] * 5) + ".jpg": "is longer than 700 bytes",
        "x::y.jpg": "holds one of \\ ? # * [ ] or ::",
        "\\xff.jpg": "is not UTF-8",
        "\\xff_mask.png": "is not UTF-8",
    }
    assert listed.other_files.first == ("\\xff.txt",)
    assert (listed.photos, listed.rows, listed.left_out) == (9, 3, 7)


def test_a_mask_whose_name_is_not_utf8_is_reported(tmp_path: Path) -> None:
    put(tmp_path / "images", "a.jpg")
    (tmp_path / "masks").mkdir()
    (tmp_path / "masks" / os.fsdecode(b"\xff.png")).write_bytes(b"")
    listed, _ = built(tmp_path, masks=str(tmp_path / "masks"))
    assert listed.unpaired_masks.first == ("\\xff.png",) and listed.photos == 1


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
    assert listed.passed_over.first == (".b.jpg", ".cache", ".silverprint-1") and listed.left_out == 4


def test_litter_is_passed_over_and_counted(tmp_path: Path) -> None:
    litter = ("@eaDir/a.jpg/SYNOPHOTO_THUMB_XL.jpg", "box/@eaDir/b.jpg/t.jpg", "#recycle/old.jpg")
    litter += (
        "__MACOSX/._a.jpg",
        "box/Thumbs.db",
        ".DS_Store",
        ".thumbnails/a.png",
        "$RECYCLE.BIN/S-1/$R.jpg",
    )
    litter += (
        "System Volume Information/x.png",
        "Lightroom Previews.lrdata/a.jpg",
        "._a.jpg",
        ".Trash-1000/b.jpg",
    )
    put(tmp_path / "images", "a.jpg", "box/b.jpg", "recycle/c.jpg", "eaDir.jpg", *litter)
    put(tmp_path / "masks", "a.png", "@eaDir/a.png/t.png")
    listed, rows = built(tmp_path, masks=str(tmp_path / "masks"))
    assert set(rows) == {"a", "box/b", "recycle/c", "eaDir"}
    assert listed.passed_over.count == len(litter) + 1 and "box/@eaDir" in listed.passed_over.first
    assert listed.left_out == listed.other_files.count == 0


def test_a_folder_of_litter_that_may_not_be_read_does_no_harm(tmp_path: Path) -> None:
    put(tmp_path / "images", "a.jpg", "lost+found/b.jpg")
    (tmp_path / "images/lost+found").chmod(0)
    listed, rows = built(tmp_path)
    assert set(rows) == {"a"} and listed.passed_over.first == ("lost+found",)


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


STEMS = st.sampled_from(["a", "b", "a_mask", "b_mask", "x/a", "x/e\u0301", "x/\u00e9", "q?", "q%3F", "n::1"])
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
        bad = {stem(text.rpartition(": ")[0]) for text in listed.illegal.first}
        assert set(rows) | claimed | bad == {stem(path) for path in pictures}
        assert not set(rows) & claimed and not set(rows) & bad and not claimed & bad
        assert listed.photos == len(pictures)
        assert listed.unpaired_images.count == sum(row["mask"] is None for row in rows.values())
        taken = [row["mask"] for row in rows.values() if row["mask"]]
        assert len(taken) == len(set(taken)), "one mask serves one photo"


def stem(path: str) -> str:
    return unicodedata.normalize("NFC", path.rpartition(".")[0]).replace("?", "%3F")


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
    fill(
        s3,
        bucket,
        "photos/.hidden.jpg",
        "photos/box-1/@eaDir/a.jpg/t.jpg",
        "photos/folder/",
        "photos2/z.jpg",
        "a.jpg",
    )
    for waiting in (0, 1, inventory.WAITING):  # whole, hardly split, split to the last folder
        monkeypatch.setattr(inventory, "WAITING", waiting)
        listed = list(photographs(f"s3://{bucket}/photos", is_litter))
        found = [entry.path for entry in listed if isinstance(entry, Entry)]
        passed = {entry.path for entry in listed if isinstance(entry, LeftOut)}
        assert passed == {".hidden.jpg", "box-1/@eaDir"}
        assert len(found) == len(set(found))
        assert set(found) == flat | deep | odd


def test_a_manifest_from_a_bucket_into_a_bucket(s3: Any) -> None:
    bucket = s3.fresh_bucket()
    fill(s3, bucket, "in/x/a.jpg", "in/b.jpg", "in/x//c #?\t.jpg", "in/x::d.jpg", "masks/x/a.png")
    fill(s3, bucket, "masks/x//c #?\t_mask.png", "in/x/@eaDir/a.jpg/t.jpg", "in/x/@eaDir/b.jpg/t.jpg")
    out = f"s3://{bucket}/manifests/night.parquet"
    sources = Sources(images=f"s3://{bucket}/in/", masks=f"s3://{bucket}/masks")
    for _ in range(2):  # the second replaces the first
        listed = build(sources, out)
    table = read_manifest(out).table
    assert table["item_id"].to_pylist() == ["b", "x/%2F/c %23%3F%09", "x/a"]
    names = ("in/b.jpg", "in/x//c #?\t.jpg", "in/x/a.jpg")
    assert table["image"].to_pylist() == [f"s3://{bucket}/{name}" for name in names]
    assert table["mask"].to_pylist() == [
        None,
        f"s3://{bucket}/masks/x//c #?\t_mask.png",
        f"s3://{bucket}/masks/x/a.png",
    ]
    assert listed.illegal.count == 1 and listed.passed_over.first == ("x/@eaDir",)
    for image, version, name in zip(
        table["image"].to_pylist(), table["image_version"].to_pylist(), names, strict=True
    ):
        assert fetch(image, version=version, missing=ErrorCode.IMAGE_NOT_FOUND).data == name.encode()


def test_a_missing_bucket_is_reported(s3: Any, tmp_path: Path) -> None:
    with pytest.raises(StorageConfigError, match="no such bucket or folder"):
        build(Sources(images="s3://no-such-bucket/in"), str(tmp_path / "m.parquet"))
    put(tmp_path / "images", "a.jpg")
    with pytest.raises(StorageConfigError, match="no such bucket"):
        build(Sources(images=str(tmp_path / "images")), "s3://no-such-bucket/m.parquet")

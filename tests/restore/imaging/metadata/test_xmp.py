"""provenance.py: read back by Pillow, tifffile and an XML parser, none of which wrote it."""

from __future__ import annotations

import hashlib
import io
import re
from pathlib import Path
from xml.etree import ElementTree as ET

import numpy as np
import pytest
import tifffile
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from restore import engines, identity
from restore.imaging.codec import encode
from restore.imaging.metadata.xmp import Making, extension_of, joined, merged, packet, split
from restore.imaging.picture import Picture
from restore.item import Item
from restore.outcome import Outcome
from restore.photo.paint import paint
from restore.photo.prepare import prepare
from restore.photo.state import Job, PaintedPhoto, Prepared
from restore.recipe import Recipe
from restore.storage import AccessPolicy, OutStore
from tests.support.archives import damage, damaged
from tests.support.photos import finish

RDF = "{http://www.w3.org/1999/02/22-rdf-syntax-ns#}"
TOOL = "{http://ns.adobe.com/xap/1.0/}CreatorTool"
KIND = "{http://iptc.org/std/Iptc4xmpExt/2008-02-29/}DigitalSourceType"
TERMS = "http://cv.iptc.org/newscodes/digitalsourcetype/"
OURS = "{urn:silverprint:1.0/}"
MAKING = Making("ns", "ab" * 32, "cd" * 32, "Silverprint 9.9", trained=False)
SOURCE = """<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>
<!-- kept -->
<x:xmpmeta xmlns:x="adobe:ns:meta/" x:xmptk="Museum 1">
 <rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
  <rdf:Description rdf:about="uuid:7" xmlns:dc="http://purl.org/dc/elements/1.1/"
    xmlns:odd="urn:museum:shelf" xmlns:a="http://ns.adobe.com/xap/1.0/"
    odd:shelf="a &gt; b&#xA;c" a:CreatorTool='Scan "5" > 4' a:Rating="3">
   <dc:creator><rdf:Seq><rdf:li>D\u00f6rte &amp; Söhne</rdf:li></rdf:Seq></dc:creator>
  </rdf:Description>
  <rdf:Description rdf:about="uuid:7" xmlns:iptc="http://iptc.org/std/Iptc4xmpExt/2008-02-29/">
   <iptc:DigitalSourceType>http://cv.iptc.org/newscodes/digitalsourcetype/negativeFilm</iptc:DigitalSourceType>
   <iptc:Event>fair</iptc:Event>
  </rdf:Description>
 </rdf:RDF>
</x:xmpmeta>
<?xpacket end="w"?>"""


def properties(xmp: bytes) -> dict[str, list[str]]:
    """All properties of the descriptions of a packet, by `{namespace}name`."""
    found: dict[str, list[str]] = {}
    for description in ET.fromstring(xmp).iter(RDF + "Description"):
        pairs = [*description.attrib.items(), *((one.tag, "".join(one.itertext())) for one in description)]
        for name, value in pairs:
            found.setdefault(name, []).append(value)
    return found


def read_xmp(data: bytes) -> bytes:
    """The packet of a file, by readers that are not ours."""
    if data[:2] in (b"II", b"MM"):
        with tifffile.TiffFile(io.BytesIO(data)) as tiff:
            return bytes(tiff.pages[0].tags[700].value)
    xmp = Image.open(io.BytesIO(data)).info["xmp"]
    return xmp.encode() if isinstance(xmp, str) else xmp


def test_a_packet_of_its_own() -> None:
    found = properties(packet(MAKING))
    assert found[TOOL] == ["Silverprint 9.9"] and found[KIND] == [TERMS + "algorithmicallyEnhanced"]
    assert found[OURS + "SourceSha256"] == ["ab" * 32] and found[OURS + "RecipeHash"] == ["cd" * 32]


@pytest.mark.parametrize(
    ("trained", "term"),
    [(False, "algorithmicallyEnhanced"), (True, "compositeWithTrainedAlgorithmicMedia")],
)
def test_the_term_says_whether_a_trained_model_painted(trained: bool, term: str) -> None:
    assert properties(packet(Making("any", "", "", "", trained)))[KIND] == [TERMS + term]


def test_what_the_source_said_stays() -> None:
    xmp = merged(SOURCE.encode(), MAKING)
    found = properties(xmp)
    assert found[TOOL] == ["Silverprint 9.9"] and found[KIND] == [TERMS + "algorithmicallyEnhanced"]
    assert found[OURS + "SourceCreatorTool"] == ['Scan "5" > 4']
    assert found[OURS + "SourceDigitalSourceType"] == [TERMS + "negativeFilm"]
    assert found["{urn:museum:shelf}shelf"] == ["a > b\nc"]
    assert found["{http://ns.adobe.com/xap/1.0/}Rating"] == ["3"]
    assert found["{http://iptc.org/std/Iptc4xmpExt/2008-02-29/}Event"] == ["fair"]
    assert found[RDF + "about"] == ["uuid:7"] * 3
    cut = SOURCE.replace(""" a:CreatorTool='Scan "5" > 4'""", "")
    cut = re.sub("<iptc:DigitalSourceType>.*</iptc:DigitalSourceType>", "", cut)
    assert re.sub(b"<rdf:Description xmlns:rdf=[^>]*/>", b"", xmp) == cut.encode()


def test_a_second_restoration_says_each_thing_once_and_knows_the_first_tool() -> None:
    again = Making("sdxl", "12" * 32, "34" * 32, "Silverprint 10", trained=True)
    found = properties(merged(merged(SOURCE.encode(), MAKING), again))
    assert found[TOOL] == ["Silverprint 10"] and found[OURS + "SourceSha256"] == ["12" * 32]
    assert found[OURS + "SourceCreatorTool"] == ['Scan "5" > 4']


def test_an_empty_element_goes_alone() -> None:
    packet = SOURCE.replace("   <dc:creator>", "<a:CreatorTool/><dc:creator>").replace(
        " a:CreatorTool='", " a:odd='"
    )
    found = properties(merged(packet.encode(), MAKING))
    assert found[TOOL] == ["Silverprint 9.9"]
    assert found["{http://purl.org/dc/elements/1.1/}creator"] == ["D\u00f6rte & Söhne"]


@pytest.mark.parametrize(
    "broken",
    [
        b"",
        b"no xml",
        SOURCE.encode()[:-60],
        SOURCE.encode().replace(b"xmlns:dc", b"xmlns:cd"),
        SOURCE.encode("utf-16"),
        b"<x:xmpmeta xmlns:x='adobe:ns:meta/'/>",
        b'<!DOCTYPE x [<!ENTITY a "b">]>' + SOURCE.encode().replace(b"fair", b"&a;"),
    ],
    ids=["empty", "text", "cut", "unbound prefix", "utf-16", "no rdf", "entities"],
)
def test_a_packet_that_cannot_be_edited_is_refused(broken: bytes) -> None:
    with pytest.raises(ValueError, match=r"XMP|rdf"):
        merged(broken, MAKING)


@pytest.fixture
def job(tmp_path: Path) -> Job:
    return Job(
        run_id="r",
        recipe=Recipe(),
        auto="ns",
        engine_hashes=dict.fromkeys(("auto", "telea", "ns"), "h"),
        store=OutStore.open(str(tmp_path / "out")),
        access=AccessPolicy((str(tmp_path),)),
        software_version="9.9",
    )


def restored(job: Job, folder: Path, form: str, xmp: bytes, target: str) -> tuple[Outcome, bytes, str]:
    """A photo of `form` with `xmp`, restored as `target`: its outcome, its file, its source's sha256."""
    path, options = folder / f"a.{form}", {}
    if form == "png":
        options["pnginfo"] = PngInfo()
        options["pnginfo"].add_itxt("XML:com.adobe.xmp", xmp.decode("utf-8", "replace"))
    elif form == "tiff":
        options["tiffinfo"] = {700: xmp, 270: "a fair"}
    else:
        options["xmp"] = xmp
    if form == "webp":
        options["lossless"] = True
    exif = Image.Exif()
    exif[270] = "a fair"
    Image.fromarray(damaged(1)).save(path, exif=exif, **options)
    Image.fromarray(damage(1)).save(folder / "m.png")
    overrides = identity.canonical({"engine": "ns", "output_format": target})
    item = Item("a", str(path), "0123456789abcdef" * 4, mask=str(folder / "m.png"), overrides=overrides)
    prepared = prepare(item, job)
    assert isinstance(prepared, Prepared)
    (painted,) = paint([prepared], engines.build(["ns"]), 8)
    assert isinstance(painted, PaintedPhoto)
    outcome = finish(painted, job)
    assert outcome.status == "restored" and outcome.output
    return outcome, job.store.read(outcome.output), identity.sha256_bytes(path.read_bytes())


@pytest.mark.parametrize(
    ("form", "target"),
    [("jpeg", "source"), ("jpeg", "jpeg"), ("png", "source"), ("tiff", "source"), ("webp", "source")],
)
def test_every_restored_file_tells_of_its_making(job: Job, tmp_path: Path, form: str, target: str) -> None:
    outcome, data, source = restored(job, tmp_path, form, SOURCE.encode(), target)
    found = properties(read_xmp(data))
    assert found[TOOL] == ["Silverprint 9.9"] and found[KIND] == [TERMS + "algorithmicallyEnhanced"]
    assert found[OURS + "SourceSha256"] == [source] == [outcome.image_sha256]
    assert found[OURS + "RecipeHash"] == [outcome.recipe_hash]
    assert found["{urn:museum:shelf}shelf"] == ["a > b\nc"]
    assert Image.open(io.BytesIO(data)).getexif()[270] == "a fair"
    assert not {"xmp", "exif"} & set(outcome.dropped)


def test_a_broken_packet_gives_way_and_is_named(job: Job, tmp_path: Path) -> None:
    outcome, data, _ = restored(job, tmp_path, "jpeg", SOURCE.encode()[:-60], "source")
    assert properties(read_xmp(data))[TOOL] == ["Silverprint 9.9"]
    assert "xmp" in outcome.dropped


def test_a_packet_too_long_for_a_segment_of_a_jpeg_has_an_extension(job: Job, tmp_path: Path) -> None:
    long = SOURCE.replace("fair", "fair " * 13_000).encode()
    outcome, data, _ = restored(job, tmp_path, "png", long, "jpeg")
    main = properties(read_xmp(data))
    name = main["{http://ns.adobe.com/xmp/note/}HasExtendedXMP"][0].encode()
    assert main[TOOL] == ["Silverprint 9.9"] and main[RDF + "about"] == ["uuid:7"] * 3
    mark = b"http://ns.adobe.com/xmp/extension/\0" + name
    extension = b"".join(part[8 : 8 + 65_450] for part in data.split(mark)[1:])
    size = int.from_bytes(data.split(mark)[1][:4], "big")
    assert hashlib.md5(extension[:size]).hexdigest().upper().encode() == name
    moved = properties(extension[:size])
    assert moved["{http://iptc.org/std/Iptc4xmpExt/2008-02-29/}Event"] == ["fair " * 13_000]
    assert "xmp" not in outcome.dropped
    again, _, _ = restored(job, tmp_path, "png", long, "png")
    assert "xmp" not in again.dropped


def test_a_packet_splits_and_joins() -> None:
    extra = "".join(f'<rdf:Description xmlns:n="urn:{n}" n:x="{"x" * 1000 * n}"/>' for n in range(1, 9))
    packet = SOURCE.replace("</rdf:RDF>", extra + "</rdf:RDF>").encode()
    main, name, extension = split(packet, 20_000)
    assert len(main) <= 20_000 and extension_of(main) == name
    whole = properties(joined(main, extension))
    assert {name: sorted(values) for name, values in whole.items() if name != RDF + "about"} == {
        name: sorted(values) for name, values in properties(packet).items() if name != RDF + "about"
    }
    with pytest.raises(ValueError, match="too long"):
        split(packet, 100)


def test_a_long_packet_that_cannot_be_split_gives_way_and_is_named() -> None:
    broken = SOURCE.encode().replace(b"</rdf:RDF>", b"fair " * 13_000)
    picture = Picture(damaged(1), "RGB", "png", True, xmp=broken)
    encoded = encode(picture, "jpeg", 90, packet(MAKING))
    assert properties(read_xmp(encoded.data))[TOOL] == ["Silverprint 9.9"] and encoded.dropped == ("xmp",)


def test_the_bytes_repeat(job: Job, tmp_path: Path) -> None:
    first = restored(job, tmp_path, "jpeg", SOURCE.encode(), "source")[1]
    job.store.remove("images/a.0123456789ab.png")
    second = restored(job, tmp_path, "jpeg", SOURCE.encode(), "source")[1]
    assert first == second


def test_a_picture_without_provenance_is_adopted(job: Job, tmp_path: Path) -> None:
    with_xmp = restored(job, tmp_path, "png", SOURCE.encode(), "source")[1]
    job.store.remove("images/a.0123456789ab.png")
    silent = io.BytesIO()
    Image.fromarray(np.asarray(Image.open(io.BytesIO(with_xmp)))).save(silent, "png")
    job.store.create("images/a.0123456789ab.png", silent.getvalue())
    outcome, data, _ = restored(job, tmp_path, "png", SOURCE.encode(), "source")
    assert data == silent.getvalue() and outcome.output_sha256 == identity.sha256_bytes(data)


def test_a_copy_says_nothing_new(job: Job, tmp_path: Path) -> None:
    path, blank = tmp_path / "c.png", tmp_path / "blank.png"
    Image.fromarray(damaged(2)).save(path)
    Image.fromarray(np.zeros((480, 640), np.uint8)).save(blank)
    outcome = prepare(Item("c", str(path), "0" * 64, mask=str(blank)), job)
    assert isinstance(outcome, Outcome) and outcome.status == "copied" and outcome.output
    assert job.store.read(outcome.output) == path.read_bytes()

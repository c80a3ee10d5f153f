"""Which way up a photo is: EXIF says it, and XMP where EXIF is silent. Each second reader is Pillow."""

from __future__ import annotations

import io
import struct

import numpy as np
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from restore.imaging.codec import decode, encode, read_header
from restore.imaging.metadata import xmp
from tests.support.pictures import RGB, by_pillow, exif, pil, same, tif

PACKET = (
    '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    '<rdf:Description rdf:about="" xmlns:{0}="http://ns.adobe.com/tiff/1.0/"{1}</rdf:RDF></x:xmpmeta>'
)
ATTRIBUTE = PACKET.format("tiff", ' tiff:Orientation="6"/>')
ELEMENT = PACKET.format("t", "> <t:Orientation>\n6 </t:Orientation></rdf:Description>")
TURNED = np.ascontiguousarray(np.rot90(RGB, -1))
UUID_OF_XMP = bytes.fromhex("be7acfcb97a942e89c71999491e3afac")


def with_xmp(form: str, packet: str, block: bytes | None = None) -> bytes:
    """RGB of a format, with a packet, and with EXIF where it is given."""
    options: dict[str, object] = {"exif": block} if block else {}
    if form == "PNG":
        info = PngInfo()
        info.add_itxt("XML:com.adobe.xmp", packet)
        return pil(RGB, form, pnginfo=info, **options)
    if form == "TIFF":
        stated = [(274, 3, 1, 1, True)] if block else []
        tag = (700, 1, len(packet), packet.encode(), True)
        return tif(RGB, photometric="rgb", extratags=[tag, *stated], metadata=None)
    if form == "JPEG2000":
        jp2 = pil(RGB, form, irreversible=False)
        at = jp2.index(b"jp2c") - 4
        box = struct.pack(">L4s", 24 + len(packet), b"uuid") + UUID_OF_XMP + packet.encode()
        return jp2[:at] + box + jp2[at:]
    lossless = {"lossless": True} if form == "WEBP" else {"quality": 100}
    return pil(RGB, form, xmp=packet.encode(), **lossless, **options)


@pytest.mark.parametrize("packet", [ATTRIBUTE, ELEMENT], ids=["attribute", "element"])
@pytest.mark.parametrize("form", ["JPEG", "PNG", "TIFF", "WEBP", "JPEG2000"])
def test_xmp_alone_turns_the_photo_and_says_so_no_longer(form: str, packet: str) -> None:
    source = with_xmp(form, packet)
    picture, header = decode(source), read_header(source)
    assert picture.orientation == header.orientation == 6
    assert (header.width, header.height) == (61, 83) == (picture.width, picture.height)
    plain = by_pillow(source) if form == "JPEG" else RGB
    assert same(picture.pixels, np.ascontiguousarray(np.rot90(plain, -1)))
    for target in ("png", "tiff", "jpeg", "webp"):
        stored = encode(picture, target, 100).data
        again = decode(stored)
        assert (again.orientation, again.width) == (1, 61)
        with Image.open(io.BytesIO(stored)) as image:
            assert image.size == (61, 83) and image.getexif().get(274, 1) == 1
            stated = image.tag_v2[700] if target == "tiff" else image.info["xmp"]  # type: ignore[attr-defined]
        text = stated.decode() if isinstance(stated, bytes) else stated
        assert text == packet.replace('"6"', '"1"').replace("\n6 ", "1")


@pytest.mark.parametrize("form", ["JPEG", "PNG", "TIFF", "WEBP"])
def test_exif_that_speaks_counts_and_xmp_agrees_afterwards(form: str) -> None:
    picture = decode(with_xmp(form, ATTRIBUTE, exif(1)))
    assert picture.orientation == 1 and picture.width == 83
    assert b'Orientation="1"' in (picture.xmp or b"")


@pytest.mark.parametrize("form", ["AVIF"])
def test_a_format_that_turns_by_itself_asks_no_xmp(form: str) -> None:
    picture = decode(with_xmp(form, ATTRIBUTE))
    assert picture.orientation == 1 and picture.width == 83
    assert b'Orientation="1"' in (picture.xmp or b"")


def test_the_orientation_of_another_picture_in_the_packet_is_not_this_ones() -> None:
    nested = '<rdf:Bag><rdf:li><rdf:Description tiff:Orientation="8"/></rdf:li></rdf:Bag>'
    packet = PACKET.format("tiff", f'><m:Pantry xmlns:m="urn:m">{nested}</m:Pantry></rdf:Description>')
    picture = decode(with_xmp("PNG", packet))
    assert (picture.orientation, picture.xmp) == (1, packet.encode())


@pytest.mark.parametrize("value", ["0", "9", "six", "", "66", "\u0666"])
def test_other_values_turn_nothing(value: str) -> None:
    packet = ATTRIBUTE.replace('"6"', f'"{value}"')
    assert xmp.orientation_of(packet.encode()) == 0
    assert decode(with_xmp("PNG", packet)).orientation == 1


def test_a_packet_of_elements_without_end_states_nothing_in_bounded_time() -> None:
    packet = PACKET.format("tiff", ' tiff:Orientation="6">' + "<rdf:a/>" * 600_000 + "</rdf:Description>")
    assert xmp.orientation_of(packet.encode()) == 0

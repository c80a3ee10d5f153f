"""States in a restored picture's XMP how it was made, and keeps the rest of its source's XMP.

The source's packet is edited as bytes. All that is not replaced stays the same to the byte, with its
prefixes, comments and unknown namespaces.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from xml.sax.saxutils import quoteattr

from restore.imaging.metadata.fields.xmp_packet import MAX_VALUE_CHARACTERS, RDF, scanned

_OURS = "urn:silverprint:1.0/"
_NAMESPACES: Mapping[str, str] = {
    "xmp": "http://ns.adobe.com/xap/1.0/",
    "Iptc4xmpExt": "http://iptc.org/std/Iptc4xmpExt/2008-02-29/",
    "silverprint": _OURS,
}
_SOURCE_TYPES = "http://cv.iptc.org/newscodes/digitalsourcetype/"
_EXTENDED = "http://ns.adobe.com/xmp/note/ HasExtendedXMP"
_ORIENTATION = "http://ns.adobe.com/tiff/1.0/ Orientation"
_NAME_LENGTH = 32  # of an extension
_ANY_ORIENTATION = re.compile(rb"(tiff:Orientation\s*(?:=\s*[\"']|>)\s*)[2-8]")


@dataclass(frozen=True, slots=True)
class Making:
    """How a picture was made.

    Attributes:
        engine: methods that painted it, joined by `+`, as in the metadata row.
        source_sha256: of the photo's file as it was read.
        recipe_hash: as in the metadata row.
        software: name and version.
        trained: whether any of the paint comes from a trained model.
    """

    engine: str
    source_sha256: str
    recipe_hash: str
    software: str
    trained: bool

    @property
    def digital_source_type(self) -> str:
        """The term of IPTC's vocabulary for what was done, as a URI."""
        return _SOURCE_TYPES + (
            "compositeWithTrainedAlgorithmicMedia" if self.trained else "algorithmicallyEnhanced"
        )

    def properties(self) -> dict[str, str]:
        """XMP properties by their prefixed names. No time or machine, so that bytes repeat."""
        return {
            "xmp:CreatorTool": self.software,
            "Iptc4xmpExt:DigitalSourceType": self.digital_source_type,
            "silverprint:SourceSha256": self.source_sha256,
            "silverprint:RecipeHash": self.recipe_hash,
        }


def packet(making: Making) -> bytes:
    """An XMP packet with the properties of the making and no others."""
    return (
        b'<?xpacket begin="\xef\xbb\xbf" id="W5M0MpCehiHzreSzNTczkc9d"?>'
        b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="' + RDF.encode() + b'">'
        + _description("", making.properties())
        + b'</rdf:RDF></x:xmpmeta><?xpacket end="w"?>'
    )  # fmt: skip


def merged(source: bytes, making: Making) -> bytes:
    """The source's packet with the making in place of its properties of the same names.

    The source's own tool and kind of origin are kept as `silverprint:Source...`.

    Raises:
        ValueError: the packet is not well-formed XMP in UTF-8, or it declares a document type, which XMP
            never needs and entity bombs do.
    """
    found = scanned(source, _is_ours)
    replaced: dict[str, str] = {}
    for each in found.properties:
        local = each.name.rpartition(" ")[2]
        replaced[local] = (replaced.get(local, "") + each.value)[:MAX_VALUE_CHARACTERS]
    properties = making.properties()
    for name in ("CreatorTool", "DigitalSourceType"):
        earlier = replaced.get(f"Source{name}") or replaced.get(name)
        if earlier:
            properties[f"silverprint:Source{name}"] = earlier
    return found.with_description(_description(found.about, properties))


def _description(about: str, properties: Mapping[str, str]) -> bytes:
    """An rdf:Description that stands on its own: it declares all prefixes that it uses."""
    spaces = "".join(f" xmlns:{prefix}={quoteattr(uri)}" for prefix, uri in _NAMESPACES.items())
    said = "".join(f" {name}={quoteattr(value)}" for name, value in properties.items())
    text = f'<rdf:Description xmlns:rdf="{RDF}" rdf:about={quoteattr(about)}{spaces}{said}/>'
    return text.encode()


def _is_ours(name: str) -> bool:
    return name in _REPLACED or name.startswith(f"{_OURS} ")


def _expanded(names: Iterable[str]) -> frozenset[str]:
    pairs = (name.split(":") for name in names)
    return frozenset(f"{_NAMESPACES[prefix]} {local}" for prefix, local in pairs)


_REPLACED = _expanded(["xmp:CreatorTool", "Iptc4xmpExt:DigitalSourceType"]) | {_EXTENDED}


def orientation_of(packet: bytes) -> int:
    """Orientation 1 to 8 of the picture itself; 0 where none is stated, or the packet is malformed."""
    if b"Orientation" not in packet:
        return 0
    try:
        found = scanned(packet, _ORIENTATION.__eq__).properties
    except ValueError:
        return 0
    value = found[0].value.strip() if found else ""
    return int(value) if value in tuple("12345678") else 0


def upright(packet: bytes) -> bytes:
    """The packet of the upright picture: its orientation is 1."""
    if b"Orientation" not in packet:
        return packet
    try:
        return scanned(packet, _ORIENTATION.__eq__).with_values(b"1")
    except ValueError:
        return _ANY_ORIENTATION.sub(rb"\g<1>1", packet)


def extension_of(packet: bytes) -> bytes | None:
    """What names the extension of a packet that was too long for one segment of a JPEG (XMP part 3, 1.1.3.1).

    Raises:
        ValueError: the packet is malformed.
    """
    if b"HasExtendedXMP" not in packet:
        return None
    found = scanned(packet, _EXTENDED.__eq__).properties
    return found[0].value.strip().encode() if found else None


def joined(packet: bytes, extension: bytes) -> bytes:
    """A packet and its extension in one.

    Raises:
        ValueError: one of them is malformed, or together they are far longer than both.
    """
    main, more = scanned(packet, _EXTENDED.__eq__), scanned(extension, _EXTENDED.__eq__)
    return main.with_description(more.alone(more.descriptions, len(packet) + 2 * len(extension)))


def split(packet: bytes, most: int) -> tuple[bytes, bytes, bytes]:
    """A packet of at most `most` bytes, the name of its extension, and the extension (XMP part 3, 1.1.3.1).

    The longest descriptions go into the extension.

    Raises:
        ValueError: the packet is malformed, or too long without its descriptions.
    """
    found = scanned(packet, _EXTENDED.__eq__)
    excess = len(found.data) + len(_pointer(found.about, "0" * _NAME_LENGTH)) - most
    moved: list[tuple[int, int]] = []
    for start, end in sorted(found.descriptions, key=lambda span: span[0] - span[1]):
        if excess > 0:
            moved.append((start, end))
            excess -= end - start
    if excess > 0:
        raise ValueError("the packet is too long without its descriptions")
    inner = found.alone(sorted(moved), 2 * len(packet))
    head = f'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="{RDF}">'.encode()
    extension = head + inner + b"</rdf:RDF></x:xmpmeta>"
    name = hashlib.md5(extension, usedforsecurity=False).hexdigest().upper()
    return found.with_description(_pointer(found.about, name), moved), name.encode(), extension


def _pointer(about: str, name: str) -> bytes:
    """The description that names an extension."""
    uri, local = _EXTENDED.split(" ")
    spaces = f'xmlns:rdf="{RDF}" xmlns:xmpNote="{uri}"'
    return f'<rdf:Description {spaces} rdf:about={quoteattr(about)} xmpNote:{local}="{name}"/>'.encode()

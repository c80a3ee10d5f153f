"""States in a restored picture's XMP how it was made, and keeps the rest of its source's XMP.

The source's packet is edited as bytes. All that is not replaced stays the same to the byte, with its
prefixes, comments and unknown namespaces.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any
from xml.parsers import expat
from xml.sax.saxutils import quoteattr

_RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
_OURS = "urn:silverprint:1.0/"
_NAMESPACES: Mapping[str, str] = {
    "xmp": "http://ns.adobe.com/xap/1.0/",
    "Iptc4xmpExt": "http://iptc.org/std/Iptc4xmpExt/2008-02-29/",
    "silverprint": _OURS,
}
_SOURCE_TYPES = "http://cv.iptc.org/newscodes/digitalsourcetype/"
_EXTENDED = "http://ns.adobe.com/xmp/note/ HasExtendedXMP"  # names segments of a JPEG that are not copied
_MAX_KEPT_CHARACTERS = 1000  # characters of a replaced value that are kept; the names of tools are shorter

_NAME = rb"[^\s=/>]+"
_ATTRIBUTE = re.compile(rb"\s+(" + _NAME + rb")\s*=\s*(\"[^\"]*\"|'[^']*')")
_TAG = re.compile(rb"</?" + _NAME + rb"(?:" + _ATTRIBUTE.pattern + rb")*\s*/?>")


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
        b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="' + _RDF.encode() + b'">'
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
    found = _scanned(source.rstrip(b"\0"))
    properties = making.properties()
    for name in ("CreatorTool", "DigitalSourceType"):
        earlier = found.replaced.get(f"Source{name}") or found.replaced.get(name)
        if earlier:
            properties[f"silverprint:Source{name}"] = earlier
    return found.spliced(_description(found.about, properties))


def _description(about: str, properties: Mapping[str, str]) -> bytes:
    """An rdf:Description that stands on its own: it declares all prefixes that it uses."""
    spaces = "".join(f" xmlns:{prefix}={quoteattr(uri)}" for prefix, uri in _NAMESPACES.items())
    said = "".join(f" {name}={quoteattr(value)}" for name, value in properties.items())
    text = f'<rdf:Description xmlns:rdf="{_RDF}" rdf:about={quoteattr(about)}{spaces}{said}/>'
    return text.encode()


@dataclass(slots=True)
class _Scan:
    """A walk through a packet: what to cut out of it, and where to add.

    Attributes:
        path: names of the open elements, `namespace local`.
        end: offset of `</rdf:RDF>`.
        cuts: ranges of bytes of the properties that are replaced.
        replaced: their values, by local name.
    """

    data: bytes
    parser: Any
    path: list[str] = field(default_factory=list)
    prefixes: dict[str, list[str]] = field(default_factory=dict)
    about: str = ""
    end: int | None = None
    cuts: list[tuple[int, int]] = field(default_factory=list)
    replaced: dict[str, str] = field(default_factory=dict)
    opened: int = 0

    def declare(self, prefix: str | None, uri: str | None) -> None:
        self.prefixes.setdefault(prefix or "", []).append(uri or "")

    def forget(self, prefix: str | None) -> None:
        self.prefixes[prefix or ""].pop()

    def start(self, name: str, attributes: Mapping[str, str]) -> None:
        self.path.append(name)
        if self._at_description():
            self.about = self.about or attributes.get(f"{_RDF} about", "")
            self._cut_attributes(attributes)
        elif self._at_ours():
            self.opened = self.parser.CurrentByteIndex

    def _at_description(self) -> bool:
        return self.end is None and self.path[-2:] == [f"{_RDF} RDF", f"{_RDF} Description"]

    def _at_ours(self) -> bool:
        above = self.path[-3:-1] == [f"{_RDF} RDF", f"{_RDF} Description"]
        return self.end is None and above and _is_ours(self.path[-1])

    def _cut_attributes(self, attributes: Mapping[str, str]) -> None:
        replaced = {name: value for name, value in attributes.items() if _is_ours(name)}
        tag = _TAG.match(self.data, self.parser.CurrentByteIndex)
        if not replaced or tag is None:
            return
        self._keep(replaced)
        for match in _ATTRIBUTE.finditer(self.data, tag.start(), tag.end()):
            prefix, _, local = match[1].decode().rpartition(":")
            if f"{self.prefixes.get(prefix, [''])[-1]} {local}" in replaced:
                self.cuts.append(match.span())

    def _keep(self, values: Mapping[str, str]) -> None:
        for name, value in values.items():
            local = name.rpartition(" ")[2]
            self.replaced[local] = (self.replaced.get(local, "") + value)[:_MAX_KEPT_CHARACTERS]

    def text(self, data: str) -> None:
        if self.path and self._at_ours():
            self._keep({self.path[-1]: data})

    def stop(self, name: str) -> None:
        at = self.parser.CurrentByteIndex
        if self._at_ours():
            tag = _TAG.match(self.data, at)
            self.cuts.append((self.opened, tag.end() if tag else at))
        elif name == f"{_RDF} RDF" and self.end is None and self.data[at : at + 2] == b"</":
            self.end = at
        self.path.pop()

    def spliced(self, addition: bytes) -> bytes:
        """The packet without the cuts, `addition` last in its rdf:RDF."""
        assert self.end is not None
        parts, at = [], 0
        for start, end in [*self.cuts, (self.end, self.end)]:
            parts.append(self.data[at:start])
            at = end
        return b"".join([*parts, addition, self.data[at:]])


def _is_ours(name: str) -> bool:
    return name in _REPLACED or name.startswith(f"{_OURS} ")


def _expanded(names: Iterable[str]) -> frozenset[str]:
    pairs = (name.split(":") for name in names)
    return frozenset(f"{_NAMESPACES[prefix]} {local}" for prefix, local in pairs)


_REPLACED = _expanded(["xmp:CreatorTool", "Iptc4xmpExt:DigitalSourceType"]) | {_EXTENDED}


def _scanned(data: bytes) -> _Scan:
    parser = expat.ParserCreate("UTF-8", " ")
    scan = _Scan(data, parser)
    parser.StartElementHandler, parser.EndElementHandler = scan.start, scan.stop
    parser.CharacterDataHandler = scan.text
    parser.StartNamespaceDeclHandler, parser.EndNamespaceDeclHandler = scan.declare, scan.forget
    parser.StartDoctypeDeclHandler = _no_document_type
    try:
        parser.Parse(data, True)
    except expat.ExpatError as error:
        raise ValueError(f"no well-formed XMP: {error}") from None
    if scan.end is None:
        raise ValueError("no rdf:RDF that properties could be added to")
    return scan


def _no_document_type(name: str, *_: object) -> None:
    raise ValueError(f"the XMP declares a document type, {name}")

"""Places in an XMP packet (ISO 16684-1): its descriptions, and properties that stand directly in them.

Packets are edited as bytes, so a walk tells where things lie. What lies deeper, such as the metadata of
another picture that this one was made of, is passed over.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from xml.parsers import expat
from xml.sax.saxutils import quoteattr

RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
MAX_VALUE_CHARACTERS = 1000
"""Characters of a property's value that are read; the names of tools are shorter."""

_MAX_ELEMENTS = 500_000  # a walk over them takes 1.3 s
_NAME = rb"[^\s=/>]+"
_ATTRIBUTE = re.compile(rb"\s+(" + _NAME + rb")\s*=\s*(\"[^\"]*\"|'[^']*')")
_TAG = re.compile(rb"</?" + _NAME + rb"(?:" + _ATTRIBUTE.pattern + rb")*\s*/?>")
_TAG_NAME = re.compile(rb"<" + _NAME)


@dataclass(frozen=True, slots=True)
class Property:
    """A property of a description.

    Attributes:
        name: `namespace local`.
        value: its text.
        start, end: of the attribute with the blanks before it, or of the element.
        content: start and end of the value alone.
    """

    name: str
    value: str
    start: int
    end: int
    content: tuple[int, int]


@dataclass(frozen=True, slots=True)
class Packet:
    """A packet and the places in it.

    Attributes:
        about: what its descriptions are about.
        end: offset of `</rdf:RDF>`.
        properties: those that were asked for, in their order.
        descriptions: start and end of each rdf:Description.
        outer: the declarations of prefixes in the elements around the descriptions, as XML by their name.
    """

    data: bytes
    about: str
    end: int
    properties: tuple[Property, ...]
    descriptions: tuple[tuple[int, int], ...]
    outer: Mapping[bytes, bytes]

    def with_values(self, value: bytes) -> bytes:
        """The packet with another value, given as XML, of all its properties."""
        return self._spliced([(*each.content, value) for each in self.properties])

    def with_description(self, addition: bytes, without: Sequence[tuple[int, int]] = ()) -> bytes:
        """The packet without its properties and some descriptions; `addition` comes last in its rdf:RDF."""
        cuts: list[tuple[int, int, bytes]] = []
        for start, end in sorted([*((each.start, each.end) for each in self.properties), *without]):
            if not cuts or start >= cuts[-1][1]:  # else it lies in a description that goes as a whole
                cuts.append((start, end, b""))
        return self._spliced([*cuts, (self.end, self.end, addition)])

    def alone(self, descriptions: Sequence[tuple[int, int]], most: int) -> bytes:
        """Some descriptions, each with declarations of all prefixes that it uses.

        Raises:
            ValueError: together they are longer than `most` bytes.
        """
        parts: list[bytes] = []
        for start, end in descriptions:
            tag = _TAG.match(self.data, start)
            own = {match[1] for match in _ATTRIBUTE.finditer(self.data, start, tag.end())} if tag else set()
            missing = [b" " + name + b"=" + uri for name, uri in self.outer.items() if name not in own]
            name = _TAG_NAME.match(self.data, start)
            head = name.end() if name else start
            parts += [self.data[start:head], *missing, self.data[head:end]]
            most -= end - start + sum(map(len, missing))
            if most < 0:
                raise ValueError("its descriptions declare prefixes without end")
        return b"".join(parts)

    def _spliced(self, changes: list[tuple[int, int, bytes]]) -> bytes:
        parts, at = [], 0
        for start, end, value in changes:
            parts += [self.data[at:start], value]
            at = end
        return b"".join([*parts, self.data[at:]])


def scanned(data: bytes, wanted: Callable[[str], bool]) -> Packet:
    """Walk through a packet.

    Args:
        wanted: whether a property, given as `namespace local`, is to be found.

    Raises:
        ValueError: the packet is not well-formed XMP in UTF-8, or it declares a document type, which XMP
            never needs and entity bombs do.
    """
    data = data.rstrip(b"\0")
    parser = expat.ParserCreate("UTF-8", " ")
    walk = _Walk(data, wanted, parser)
    parser.StartElementHandler, parser.EndElementHandler = walk.start, walk.stop
    parser.CharacterDataHandler = walk.text
    parser.StartNamespaceDeclHandler, parser.EndNamespaceDeclHandler = walk.declare, walk.forget
    parser.StartDoctypeDeclHandler = _no_document_type
    try:
        parser.Parse(data, True)
    except expat.ExpatError as error:
        raise ValueError(f"no well-formed XMP: {error}") from None
    if walk.end is None:
        raise ValueError("no rdf:RDF that properties could be added to")
    found = sorted(walk.properties, key=lambda each: each.start)
    return Packet(data, walk.about, walk.end, tuple(found), tuple(walk.descriptions), walk.outer)


def _no_document_type(name: str, *_: object) -> None:
    raise ValueError(f"the XMP declares a document type, {name}")


@dataclass(slots=True)
class _Walk:
    """The state of a walk.

    Attributes:
        path: names of the open elements.
        prefixes: by prefix, the namespaces that it stands for, the innermost last.
        depth: of the first rdf:RDF among the open elements; 0 before it.
        opened: start and end of the tag that opened the open description, and of that of the open property.
        value: of the open property, as far as it is read.
        room: elements that may follow.
    """

    data: bytes
    wanted: Callable[[str], bool]
    parser: Any
    path: list[str] = field(default_factory=list)
    prefixes: dict[str, list[str]] = field(default_factory=dict)
    outer: dict[bytes, bytes] = field(default_factory=dict)
    about: str = ""
    end: int | None = None
    properties: list[Property] = field(default_factory=list)
    descriptions: list[tuple[int, int]] = field(default_factory=list)
    depth: int = 0
    opened: list[tuple[int, int]] = field(default_factory=list)
    value: str = ""
    room: int = _MAX_ELEMENTS

    def declare(self, prefix: str | None, uri: str | None) -> None:
        self.prefixes.setdefault(prefix or "", []).append(uri or "")

    def forget(self, prefix: str | None) -> None:
        self.prefixes[prefix or ""].pop()

    def start(self, name: str, attributes: Mapping[str, str]) -> None:
        self.path.append(name)
        self.room -= 1
        if self.room < 0:
            raise ValueError(f"more than {_MAX_ELEMENTS} elements in its XMP")
        at = self.parser.CurrentByteIndex
        if self._at_description():
            self.about = self.about or attributes.get(f"{RDF} about", "")
            self.opened = [self._tag(at)]
            if any(map(self.wanted, attributes)):
                self._note_attributes(attributes)
        elif self._at_wanted():
            self.opened = [self.opened[0], self._tag(at)]
            self.value = ""
        elif name == f"{RDF} RDF" and not self.depth:
            self.depth = len(self.path)
            self.outer = {
                f"xmlns:{prefix}".rstrip(":").encode(): quoteattr(uris[-1]).encode()
                for prefix, uris in self.prefixes.items()
                if uris and prefix != "xml"
            }

    def _at_description(self) -> bool:
        inside = self.end is None and 0 < self.depth == len(self.path) - 1
        return inside and self.path[-1] == f"{RDF} Description"

    def _at_wanted(self) -> bool:
        inside = self.end is None and 0 < self.depth == len(self.path) - 2
        return inside and self.path[-2] == f"{RDF} Description" and self.wanted(self.path[-1])

    def _note_attributes(self, attributes: Mapping[str, str]) -> None:
        for match in _ATTRIBUTE.finditer(self.data, *self.opened[0]):
            prefix, _, local = match[1].decode().rpartition(":")
            name = f"{self.prefixes.get(prefix, [''])[-1]} {local}"
            if prefix and name in attributes and self.wanted(name):
                content = (match.start(2) + 1, match.end(2) - 1)
                value = attributes[name][:MAX_VALUE_CHARACTERS]
                self.properties.append(Property(name, value, *match.span(), content))

    def text(self, data: str) -> None:
        if self.path and self._at_wanted():
            self.value = (self.value + data)[:MAX_VALUE_CHARACTERS]

    def stop(self, name: str) -> None:
        at = self.parser.CurrentByteIndex
        if self._at_wanted():
            start, inner = self.opened.pop()
            empty = self.data[inner - 2 : inner] == b"/>"  # expat is behind its tag already
            content = (inner, inner if empty else at)
            end = inner if empty else self._tag(at)[1]
            self.properties.append(Property(name, self.value, start, end, content))
        elif self._at_description():
            start, inner = self.opened.pop()
            empty = self.data[inner - 2 : inner] == b"/>"
            self.descriptions.append((start, inner if empty else self._tag(at)[1]))
        elif len(self.path) == self.depth and self.end is None and self.data[at : at + 2] == b"</":
            self.end = at
        self.path.pop()

    def _tag(self, at: int) -> tuple[int, int]:
        """Start and end of the tag at an offset."""
        tag = _TAG.match(self.data, at)
        return at, tag.end() if tag else at

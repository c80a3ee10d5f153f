"""Recognises a file's format by its first bytes, so that no parser receives any other."""

from __future__ import annotations

from collections.abc import Mapping

from restore.formats import FORMATS, Format

_REFUSED: Mapping[bytes, str] = {
    b"GIF8": "a GIF",
    b"BM": "a BMP",
    b"%PDF": "a PDF",
    b"%!PS": "a PostScript file",
    b"#!": "a script",
    b"PK\3\4": "a ZIP archive",
    b"\x1f\x8b": "a gzip archive",
    b"8BPS": "a Photoshop PSD",
    b"\x76\x2f\x31\x01": "an OpenEXR",
    b"\0\0\1\0": "an icon",
}
_HEIC = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs")


def accepted_format(data: bytes) -> Format | None:
    """The accepted format that `data` claims to be, or None."""
    return next((name for name, row in FORMATS.items() if row.claims(data)), None)


def refused_format(data: bytes) -> str | None:
    """The name of a known format that is not accepted, or None."""
    for signature, name in _REFUSED.items():
        if data.startswith(signature):
            return name
    if data[4:8] == b"ftyp":
        return "a HEIC" if data[8:12] in _HEIC else "a video or another ISO media file"
    head = data[:512].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if head.startswith((b"<!doctype html", b"<html")):
        return "an HTML page"
    return "an SVG or other XML" if head.startswith((b"<svg", b"<?xml")) else None

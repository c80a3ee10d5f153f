"""Recognises a file's format by its first bytes, so that no parser receives any other."""

from __future__ import annotations

from collections.abc import Mapping

from restore.formats import FORMATS, Format

_RAW = "a camera raw file; develop it to a TIFF"
_REFUSED: Mapping[bytes, str] = {
    b"GIF8": "a GIF",
    b"BM": "a BMP",
    b"%PDF": "a PDF",
    b"%!PS": "a PostScript file",
    b"#!": "a script",
    b"PK\3\4": "a ZIP archive",
    b"\x1f\x8b": "a gzip archive",
    b"8BPS": "a Photoshop PSD or PSB; save it as TIFF, its layers merged",
    b"\x76\x2f\x31\x01": "an OpenEXR",
    b"\0\0\1\0": "an icon",
    b"II\xbc": "a JPEG XR",
    b"gimp xcf": "a GIMP XCF",
    b"AT&TFORM": "a DjVu",
    b"SIMPLE  =": "a FITS",
    **dict.fromkeys((b"SDPX", b"XPDS"), "a DPX"),
    **dict.fromkeys((b"FUJIFILMCCD-RAW", b"IIU\0", b"IIRO", b"IIRS", b"MMOR", b"FOVb", b"\0MRM"), _RAW),
    b"II\x1a\0\0\0HEAPCCDR": _RAW,
}
# By the major brand of an ISO media file.
_MEDIA: Mapping[bytes, str] = {
    **dict.fromkeys(
        (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs"),
        "a HEIC; save it as TIFF or PNG",
    ),
    **dict.fromkeys((b"avci", b"avcs"), "a HEIF of AVC; save it as TIFF or PNG"),
    b"msf1": "a HEIF of several pictures",
    b"crx ": _RAW,
}


def accepted_format(data: bytes) -> Format | None:
    """The accepted format that `data` claims to be, or None."""
    return next((name for name, row in FORMATS.items() if row.claims(data)), None)


def refused_format(data: bytes) -> str | None:
    """The name of a known format that is not accepted, or None."""
    for signature, name in _REFUSED.items():
        if data.startswith(signature):
            return name
    if data[4:8] == b"ftyp":
        return _MEDIA.get(data[8:12], "a video or another ISO media file")
    head = data[:512].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if head.startswith((b"<!doctype html", b"<html")):
        return "an HTML page"
    return "an SVG or other XML" if head.startswith((b"<svg", b"<?xml")) else None

"""Probe: headers from parts of files are those of the whole files."""

from __future__ import annotations

import io
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image

from manifests.listing import probe
from restore.imaging.codec import read_header
from restore.storage import versions
from tests.conftest import S3Server

NOISE = np.random.default_rng(1).integers(0, 256, (400, 600, 3), np.uint8)


def saved(form: str, pixels: np.ndarray = NOISE, **more: Any) -> bytes:
    sink = io.BytesIO()
    Image.fromarray(pixels).save(sink, form, **more)
    return sink.getvalue()


def tiff(pixels: np.ndarray = NOISE, **more: Any) -> bytes:
    sink = io.BytesIO()
    tifffile.imwrite(sink, pixels, **more)
    return sink.getvalue()


def turned() -> Image.Exif:
    exif = Image.Exif()
    exif[274] = 6
    return exif


def turned_by_xmp() -> bytes:
    """A TIFF without Orientation whose XMP, which stands behind its samples, has one."""
    packet = (
        b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
        b'<rdf:Description xmlns:tiff="http://ns.adobe.com/tiff/1.0/" tiff:Orientation="6"/></rdf:RDF>'
        b"</x:xmpmeta>"
    )
    plain = bytearray(tiff(extratags=[(700, 1, len(packet), bytes(len(packet)), True)]))
    at = plain.index(struct.pack("<HHL", 700, 1, len(packet)))
    struct.pack_into("<L", plain, at + 8, len(plain))
    return bytes(plain) + packet


PARTIAL = {
    "a jpeg": saved("jpeg", quality=95, exif=turned()),
    "a png": saved("png", exif=turned()),
    "a png of 16 bits": saved("png", np.random.default_rng(2).integers(0, 65536, (400, 600), np.uint16)),
    "a tiff": saved("tiff", exif=turned()),
    "a tiff of 16 bits": tiff(NOISE.astype(np.uint16)),
    "a big-endian tiff": tiff(byteorder=">"),
    "a bigtiff": tiff(bigtiff=True),
    "a tiff with alpha": tiff(np.dstack([NOISE, NOISE[..., 0]]), extrasamples=["unassalpha"]),
}
WHOLE = {
    "a jpeg with much before its frame": saved("jpeg", quality=95, icc_profile=bytes(400_000)),
    "a webp": saved("webp", lossless=True),
    "a webp with metadata behind": saved("webp", lossless=True, exif=turned()),
    "a tiff that is turned by its XMP": turned_by_xmp(),
    "a small tiff": tiff(NOISE[:20, :20]),
}


def probed(uri: str, size: int) -> dict[str, Any]:
    version = versions([uri])[uri]
    assert version is not None
    return probe._probed(uri, version, size)


@pytest.mark.parametrize("store", ["disk", "s3"])
@pytest.mark.parametrize("name", [*PARTIAL, *WHOLE])
def test_headers_are_those_of_the_whole_file(
    name: str, store: str, request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = {**PARTIAL, **WHOLE}[name]
    assert (len(data) > probe.START) == (name != "a small tiff")
    if store == "disk":
        uri = str(tmp_path / "photo")
        Path(uri).write_bytes(data)
    else:
        s3: S3Server = request.getfixturevalue("s3")
        bucket = s3.fresh_bucket()
        s3.client.put_object(Bucket=bucket, Key="photo", Body=data)
        uri = f"s3://{bucket}/photo"
    whole = []
    real = probe._read
    monkeypatch.setattr(probe, "_read", lambda *given: whole.append(given) or real(*given))
    header = read_header(data)
    assert probed(uri, len(data)) == {
        "image": uri,
        "width": header.width,
        "height": header.height,
        "bit_depth": header.bit_depth,
        "color_mode": header.mode,
    }
    assert bool(whole) == (name in WHOLE)


def test_a_photo_that_changed_since_it_was_listed_has_a_fault(tmp_path: Path) -> None:
    path = tmp_path / "photo.png"
    path.write_bytes(PARTIAL["a png"])
    found = probe._probed(str(path), "another version", path.stat().st_size)
    assert "changed_during_run" in found["fault"] and "width" not in found


@pytest.mark.parametrize("name", list(PARTIAL))
def test_a_file_cut_short_before_its_header_is_a_fault(tmp_path: Path, name: str) -> None:
    path = tmp_path / "photo"
    path.write_bytes(PARTIAL[name][:20] + bytes(probe.START))
    assert "fault" in probed(str(path), path.stat().st_size)

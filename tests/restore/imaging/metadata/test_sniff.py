"""Formats that are not accepted are known by their first bytes, so that nobody looks for damage in them."""

from __future__ import annotations

import imagecodecs
import numpy as np
import pytest

from restore.errors import ErrorCode, ItemError
from restore.imaging.codec import decode

LEVELS = np.add.outer(np.arange(40, dtype=np.uint16), 16 * np.arange(60, dtype=np.uint16)) % 4096
FILES = {
    "JPEG of 12 bits": imagecodecs.jpeg8_encode(LEVELS, bitspersample=12),
    "lossless JPEG": imagecodecs.ljpeg_encode(LEVELS, bitspersample=12),
    "JPEG-LS": imagecodecs.jpegls_encode(LEVELS.astype(np.uint8)),
    "a JPEG XR": imagecodecs.jpegxr_encode(LEVELS.astype(np.uint8)),
    "PSD or PSB; save it as TIFF": b"8BPS\0\2",
    "a HEIF of several": b"\0\0\0\x18ftypmsf1",
    "a HEIF of AVC": b"\0\0\0\x18ftypavci",
    "a HEIC; save it as TIFF": b"\0\0\0\x18ftypheix",
    "a camera raw file; develop it": b"\0\0\0\x18ftypcrx ",
    "camera raw": b"FUJIFILMCCD-RAW 0201",
    "camera raw file": b"IIU\0\x18\0\0\0",
    "a DjVu": b"AT&TFORM",
    "a DPX": b"SDPX\0\0\0\0",
    "a FITS": b"SIMPLE  =                    T",
}


@pytest.mark.parametrize("name", FILES)
def test_what_no_decoder_here_reads_is_named_and_no_damage(name: str) -> None:
    with pytest.raises(ItemError, match=f"found .*{name}") as caught:
        decode(bytes(FILES[name]) + bytes(40))
    assert caught.value.code == ErrorCode.UNSUPPORTED_FORMAT

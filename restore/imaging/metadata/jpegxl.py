"""JPEG XL files: boxes (ISO/IEC 18181-2), and the head of the codestream (18181-1, annex D).

No decoder here gives out an ICC profile, so only colours that need none are accepted.
"""

from __future__ import annotations

from collections.abc import Sequence

import imagecodecs

from restore.imaging.metadata.fields.bits import Bits
from restore.imaging.metadata.fields.boxes import Box, boxes
from restore.imaging.metadata.record import Metadata, Stated
from restore.imaging.pixels import Alpha, Mode

_BARE = b"\xff\x0a"
_HEAD_BYTES = 256  # enough for the fields read here, unless channels have long names
_RATIOS = {1: (1, 1), 2: (6, 5), 3: (4, 3), 4: (3, 2), 5: (16, 9), 6: (5, 4), 7: (2, 1)}
_ALPHA_CHANNEL, _SPOT_CHANNEL, _CFA_CHANNEL = 0, 2, 5
_D65, _SRGB_PRIMARIES, _SRGB_CURVE = 1, 1, 13
_RGB, _GRAY = 0, 1
# Distributions of the numbers of annex D: (bits, what is added) for each of four cases.
_SIZES = ((9, 1), (13, 1), (18, 1), (30, 1))
_ENUM = ((0, 0), (0, 1), (4, 2), (6, 18))
_DEPTHS = ((0, 8), (0, 10), (0, 12), (6, 1))
_FLOAT_DEPTHS = ((0, 32), (0, 16), (0, 24), (6, 1))
_CHANNELS = ((0, 0), (0, 1), (4, 2), (12, 1))
_SHIFTS = ((0, 0), (0, 3), (0, 4), (3, 1))
_NAMES = ((0, 0), (4, 0), (5, 16), (10, 48))

_READ = (b"Exif", b"xml ")
_KNOWN = frozenset([b"JXL ", b"ftyp", b"jxll", b"jxlc", b"jxlp", b"jxli", b"jbrd", b"free", b"skip", *_READ])
_MAX_INFLATED_BYTES = 16 << 20  # of one box; EXIF and XMP are far shorter


def read(data: bytes) -> Metadata:
    """The metadata of the file's boxes and of the head of its codestream."""
    top = [] if data.startswith(_BARE) else list(boxes(data))
    texts, lost = _texts(data, top)
    exif = texts.get(b"Exif", b"")
    head = _Head(Bits(_codestream(data, top)[2 : 2 + _HEAD_BYTES], "lowest"))
    return Metadata(
        exif=exif[4 + int.from_bytes(exif[:4], "big") :] or None,
        xmp=texts.get(b"xml ") or None,
        orientation=head.orientation,
        size=head.size,
        pages=1 + head.animated,
        lossless=not head.lossy,
        stated=head.stated,
        found=f"JPEG XL of {head.refused}" if head.refused else None,
        dropped=lost,
    )


def _texts(data: bytes, top: Sequence[Box]) -> tuple[dict[bytes, bytes], tuple[str, ...]]:
    """The first box of each kind that is read, inflated where it is compressed; and what is lost."""
    texts: dict[bytes, bytes] = {}
    lost = False
    for box in top:
        compressed = box.kind == b"brob"
        kind = data[box.start : box.start + 4] if compressed else box.kind
        if kind not in _READ or kind in texts:
            lost = lost or compressed or box.kind not in _KNOWN or kind in texts
            continue
        value = data[box.start + 4 * compressed : box.end]
        texts[kind] = _inflated(value) if compressed else value
        lost = lost or not texts[kind]
    return texts, ("boxes",) if lost else ()


def _inflated(stream: bytes) -> bytes:
    """What a Brotli stream holds; b"" where it is malformed or longer than the limit."""
    try:
        return bytes(imagecodecs.brotli_decode(stream, out=_MAX_INFLATED_BYTES))
    except (RuntimeError, ValueError, MemoryError):
        return b""


def strip(data: bytes) -> bytes:
    """The codestream."""
    return data if data.startswith(_BARE) else _codestream(data, list(boxes(data)))


def _codestream(data: bytes, top: Sequence[Box]) -> bytes:
    """The codestream, which may lie in several boxes (18181-2, 9.9)."""
    if not top:
        return data
    parts = [
        data[box.start + (4 if box.kind == b"jxlp" else 0) : box.end]
        for box in top
        if box.kind in (b"jxlc", b"jxlp")
    ]
    whole = b"".join(parts)
    if not whole.startswith(_BARE):
        raise ValueError("it has no codestream")
    return whole


class _Head:
    """What the head of a codestream states.

    Attributes:
        size: stored width and height, px.
        lossy: whether its colours went through XYB.
        refused: the feature that is not accepted, in words, or None.
    """

    def __init__(self, bits: Bits) -> None:
        self._bits = bits
        self.size = self._size()
        self.orientation, self.animated, self.lossy = 1, False, True
        self.stated = Stated(mode="RGB", bits=8)
        self.refused: str | None = None
        if not bits.flag():  # all_default
            self._image()

    def _u32(self, distribution: tuple[tuple[int, int], ...]) -> int:
        width, more = distribution[self._bits.number(2)]
        return self._bits.number(width) + more

    def _size(self) -> tuple[int, int]:
        small = self._bits.flag()
        height = self._side(small)
        ratio = self._bits.number(3)
        if ratio:
            across, down = _RATIOS[ratio]
            return height * across // down, height
        return self._side(small), height

    def _side(self, small: bool) -> int:
        return 8 * (self._bits.number(5) + 1) if small else self._u32(_SIZES)

    def _image(self) -> None:
        """ImageMetadata."""
        if self._bits.flag():  # extra_fields
            self.orientation = self._bits.number(3) + 1
            if self._bits.flag():  # intrinsic size
                self._size()
            if self._bits.flag():
                self.refused = "a preview and a picture"
                return
            if self._bits.flag():
                self.animated = True
                return
        depth, floating = self._depth()
        self._bits.flag()  # modular_16bit_buffers
        extra = [self._channel() for _ in range(min(self._u32(_CHANNELS), 16))]
        self.lossy = self._bits.flag()
        gray, plain = self._colours()
        alpha = extra[0] if len(extra) == 1 else None
        modes: dict[tuple[bool, bool], Mode] = {
            (False, False): "RGB",
            (False, True): "RGBA",
            (True, False): "L",
            (True, True): "LA",
        }
        self.stated = Stated(mode=modes[gray, alpha is not None], bits=depth, alpha=alpha or "straight")
        if floating or depth > 16:
            self.refused = f"{depth}-bit {'floating point ' * floating}samples"
        elif len(extra) > 1:
            self.refused = f"{len(extra)} channels beside its colours"
        elif not plain:
            self.refused = "colours other than sRGB, whose profile no decoder here gives out"

    def _depth(self) -> tuple[int, bool]:
        if not self._bits.flag():
            return self._u32(_DEPTHS), False
        depth = self._u32(_FLOAT_DEPTHS)
        self._bits.number(4)
        return depth, True

    def _channel(self) -> Alpha:
        """What one channel beside the colours is."""
        if self._bits.flag():
            return "straight"
        kind = self._u32(_ENUM)
        self._depth()
        self._u32(_SHIFTS)
        self._bits.number(8 * self._u32(_NAMES))
        if kind == _ALPHA_CHANNEL:
            return "premultiplied" if self._bits.flag() else "straight"
        if kind == _SPOT_CHANNEL:
            self._bits.number(64)
        if kind == _CFA_CHANNEL:
            self._u32(((0, 1), (2, 0), (4, 3), (8, 19)))
        return "unspecified"

    def _colours(self) -> tuple[bool, bool]:
        """Whether they are gray, and whether they are those of sRGB without a profile."""
        if self._bits.flag():
            return False, True
        if self._bits.flag():  # an ICC profile, of gray or of colours
            return self._u32(_ENUM) == _GRAY, False
        space = self._u32(_ENUM)
        white = self._u32(_ENUM)
        primaries = self._u32(_ENUM) if space == _RGB and white == _D65 else _SRGB_PRIMARIES
        if space not in (_RGB, _GRAY) or white != _D65 or primaries != _SRGB_PRIMARIES:
            return space == _GRAY, False
        curve = None if self._bits.flag() else self._u32(_ENUM)
        return space == _GRAY, curve == _SRGB_CURVE

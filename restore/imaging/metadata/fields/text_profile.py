"""ImageMagick's profiles in PNG text: `Raw profile type NAME`, with the bytes in hexadecimal.

PNG has no chunk for IPTC and Photoshop's resources, and had none for EXIF before 2017; many readers follow
ImageMagick.
"""

from __future__ import annotations

from binascii import unhexlify

KEYWORD = b"Raw profile type "
_HEX_LINE = 72


def parsed(text: bytes) -> bytes:
    """The bytes of a profile, given without its keyword; b"" where it is malformed."""
    _, _, rest = text.lstrip(b"\n").partition(b"\n")  # its name
    parts = rest.split(None, 1)
    if len(parts) != 2 or not (parts[0].isdigit() and len(parts[0]) < 10):
        return b""
    size = int(parts[0])
    digits = parts[1].translate(None, b" \t\r\n\v\f")
    try:
        found = unhexlify(digits[: 2 * size])
    except ValueError:
        return b""
    return found if len(found) == size else b""


def written(name: str, profile: bytes) -> bytes:
    """The text of a profile."""
    digits = profile.hex()
    lines = [digits[at : at + _HEX_LINE] for at in range(0, len(digits), _HEX_LINE)]
    return "\n".join(["", name, f"{len(profile):8d}", *lines, ""]).encode()

"""The two ways in which a file is no photo: it is of a kind that is not accepted, or it is damaged."""

from __future__ import annotations

from restore.errors import ErrorCode, ItemError
from restore.formats import FORMATS, Format

_LABELS = [row.label for row in FORMATS.values()]
ACCEPTED = (
    f"accepted are {', '.join(_LABELS[:-1])} and {_LABELS[-1]} of one picture, "
    "gray, RGB or CMYK, up to 16 bits"
)


def unsupported(found: str) -> ItemError:
    """The error of a whole file with a feature that is not accepted, named by `found`."""
    return ItemError(ErrorCode.UNSUPPORTED_FORMAT, f"found {found}; {ACCEPTED}")


def unreadable(form: Format, why: str) -> ItemError:
    """The error of a damaged file."""
    return ItemError(ErrorCode.IMAGE_UNREADABLE, f"the {FORMATS[form].label} is damaged or cut short: {why}")

"""Names and contents of the files of a report that Python writes and reads again."""

from __future__ import annotations

import json
from typing import Any

SUFFIX = {"before": "jpg", "after": "jpg", "damage": "png"}
"""File name extension of each thumbnail of a photo."""


def thumbnail_path(position: int, name: str) -> str:
    """Path of a thumbnail below its report; `position` is the photo's place in the report's index."""
    return f"thumbs/{position:06d}-{name}.{SUFFIX[name]}"


def script(name: str, value: Any) -> bytes:
    """A script that gives `value` to the page as JSON text, which the page parses and never runs."""
    text = json.dumps(json.dumps(value, separators=(",", ":"), allow_nan=False))
    return f'silverprint.put("{name}",{text});\n'.replace("<", "\\u003c").encode("ascii")


def script_value(data: bytes) -> Any:
    """The value that `script` wrote."""
    text = data.decode("ascii")
    return json.loads(json.loads(text[text.index(",") + 1 : text.rindex(")")]))

"""Which mask belongs to which photo, said by patterns such as `{stem}_mask.*`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from manifests.query import sql
from restore.errors import UsageError

STEM, ANY_EXTENSION = "{stem}", ".*"

IN_ANOTHER_TREE = ("{stem}.*", "{stem}_mask.*")
IN_THE_SAME_TREE = ("{stem}_mask.*",)
"""Patterns that are tried where none is given, in this order."""


@dataclass(frozen=True, slots=True)
class Pattern:
    """A mask's path below its root: `before`, the photo's stem, `after`, and any extension or none."""

    before: str
    after: str
    any_extension: bool

    @property
    def takes_all(self) -> bool:
        """Whether every file has the form of a mask."""
        return self.any_extension and not self.before and not self.after

    def matches(self) -> str:
        """SQL: whether a file with columns `path` and `stem` has the form of a mask."""
        body, outside = self._body(), len(self.before) + len(self.after)
        return (
            f"(starts_with({body}, {sql.text(self.before)}) AND ends_with({body}, {sql.text(self.after)}) "
            f"AND length({body}) > {outside})"
        )

    def stem(self) -> str:
        """SQL: the path, without extension, of the photo that a matching file is a mask of."""
        body, outside = self._body(), len(self.before) + len(self.after)
        return f"substr({body}, {len(self.before) + 1}, length({body}) - {outside})"

    def _body(self) -> str:
        return "stem" if self.any_extension else "path"


def parse_patterns(given: Sequence[str], *, same_tree: bool) -> tuple[Pattern, ...]:
    """The patterns that were given, or the usual ones.

    Raises:
        UsageError: a pattern that cannot be turned round, or one by which every photo is a mask.
    """
    texts = tuple(given) or (IN_THE_SAME_TREE if same_tree else IN_ANOTHER_TREE)
    patterns = tuple(map(_parse, texts))
    for text, pattern in zip(texts, patterns, strict=True):
        if same_tree and pattern.takes_all:
            raise UsageError(
                f"mask_pattern={text}: every photo would be a mask; set masks, or a pattern such as "
                f"{IN_THE_SAME_TREE[0]}"
            )
    return patterns


def _parse(text: str) -> Pattern:
    any_extension = text.endswith(ANY_EXTENSION)
    named = text.removesuffix(ANY_EXTENSION)
    before, stem, after = named.partition(STEM)
    if not stem or STEM in after or "*" in named or text.startswith("/"):
        raise UsageError(
            f"mask_pattern={text}: give a path below the masks' root with {STEM} once, and * only as an "
            "extension at its end, such as {stem}_mask.* or scratches/{stem}.png"
        )
    return Pattern(before, after, any_extension)

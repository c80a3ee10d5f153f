"""What a listing found: how many photos, which of them are rows, and what was left out and why."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType

FIRST = 100
"""Number of findings of each kind that are named; the rest are counted."""


@dataclass(frozen=True, slots=True)
class Found:
    """How many there are, and the first of them by name."""

    count: int
    first: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """What a listing found. Every photo is a row, ambiguous or illegal.

    Attributes:
        manifest: where the rows were written.
        photos: files that are photos by their names.
        rows: photos that are in the manifest.
        unpaired_images: ids in the manifest without a mask.
        unpaired_masks: masks that no photo takes.
        ambiguous: ids left out, since two photos or two masks claim them, or two photos one mask.
        illegal: photos left out, since no `item_id` can be made of their paths.
        other_files: files that are no pictures by their names.
        outputs: files left out, since they are an output store's.
        links: local links that were not followed.
        passed_over: hidden files and folders, and litter of systems and programs; what lies below such a
            folder is not counted.
        unknown_in_sidecar: ids of the sidecar that are not in the manifest.
        unreadable: photos in the manifest whose headers could not be read; probed listings only.
    """

    manifest: str
    photos: int
    rows: int
    unpaired_images: Found
    unpaired_masks: Found
    ambiguous: Found
    illegal: Found
    other_files: Found
    outputs: Found
    links: Found
    passed_over: Found
    unknown_in_sidecar: Found
    unreadable: Found

    @property
    def left_out(self) -> int:
        """Files that a person may take for photos and that are no rows: photos, other files and links."""
        return self.photos - self.rows + self.other_files.count + self.links.count

    def findings(self, kinds: Iterable[str] | None = None) -> Iterator[tuple[str, Found]]:
        """Each kind of which there are any, by the name of its attribute; all kinds, or those given."""
        for name in MEANING if kinds is None else kinds:
            found: Found = getattr(self, name)
            if found.count:
                yield name, found


MEANING: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "ambiguous": ("names left out, since several files claim each", "rename or remove all but one"),
        "illegal": ("photos left out, since no item_id can be made of their paths", "rename them"),
        "other_files": (
            "files left out, since their names do not end as a photo's does",
            "convert those that are photos, or name them in a manifest",
        ),
        "links": ("links left out, since they lead elsewhere", "list what they lead to by itself"),
        "outputs": ("files left out, since they are an output store's", "keep it elsewhere, or exclude it"),
        "passed_over": ("hidden or system files and folders passed over", "rename one that holds photos"),
        "unpaired_images": ("photos without a mask", "draw one, or set copy_unmasked"),
        "unpaired_masks": ("masks without a photo", "correct their names or mask_pattern"),
        "unknown_in_sidecar": ("ids of the sidecar that are not in the manifest", "correct them"),
        "unreadable": ("photos whose headers cannot be read", "their rows will fail"),
    }
)
"""Each kind of finding: what was found, and what to do."""


LEFT_OUT = ("ambiguous", "illegal", "other_files", "links")
"""The kinds that `Listed.left_out` counts; an ambiguous name stands for several photos or for one."""


def printable(name: str) -> str:
    """A name for a terminal, which would obey the control characters that a file's name may hold."""
    if name.isprintable():
        return name
    return "".join(one if one.isprintable() else one.encode("unicode_escape").decode() for one in name)

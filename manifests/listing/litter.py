"""Names that systems, network storage and photo programs leave among photographs, and that are none."""

from __future__ import annotations

LITTER = frozenset(
    {
        # Synology: thumbnails and indexes, recycle bin, snapshots. QNAP: the same.
        *("@eadir", "#recycle", "#snapshot", "@recycle", "@recently-snapshot", "@__thumb"),
        # Windows: recycle bin, restore points, caches of thumbnails, looks of folders.
        *("$recycle.bin", "system volume information", "thumbs.db", "ehthumbs.db", "desktop.ini"),
        # macOS: resource forks in a ZIP, icons of folders, what a file server keeps.
        *("__macosx", "icon\r", "network trash folder", "temporary items"),
        # Linux: what a repair of a file system found, which only root may read.
        "lost+found",
        "picasa.ini",
    }
)
"""In lower case, since some of these systems spell a name in several ways."""

PREVIEWS = (".lrdata",)
"""Endings of folders that hold previews of a catalogue: Lightroom's."""


def is_litter(name: str) -> bool:
    """Whether a file or folder of this name, and all below it, holds no photographs of a person's own.

    Names that begin with a dot are hidden: `.DS_Store`, AppleDouble's `._photo.jpg`, `.Trash-1000`,
    `.thumbnails`, `.Spotlight-V100`.
    """
    lower = name.casefold()
    return name.startswith(".") or lower in LITTER or lower.endswith(PREVIEWS)

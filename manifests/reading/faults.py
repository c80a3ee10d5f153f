"""What is wrong with a manifest: all of it at once, or the one thing that stops the reading."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NoReturn

from restore.errors import ManifestError
from restore.storage.uris import redact

FAULTS_LISTED = 100


@dataclass(slots=True)
class Faults:
    """The faults of one file, gathered so that one error can say them all.

    Attributes:
        uri: the file.
        unit: what a row's number counts, "line" or "row".
        total: all faults; only the first `FAULTS_LISTED` of each check are kept.
    """

    uri: str
    unit: str
    total: int = 0
    listed: list[tuple[int, str]] = field(default_factory=list)

    def add(self, row: int, message: str) -> None:
        """One fault. `row` 0 is the manifest as a whole."""
        self.total += 1
        if len(self.listed) < 10 * FAULTS_LISTED:
            self.listed.append((row, message))

    def add_once(self, message: str) -> None:
        """A fault of the manifest as a whole, or of a column, however many chunks show it."""
        if (0, message) not in self.listed:
            self.add(0, message)

    def error(self) -> ManifestError:
        """All faults as one error, in the order of their rows."""
        shown = sorted(self.listed, key=lambda fault: fault[0])[:FAULTS_LISTED]
        lines = [self._placed(row, message) for row, message in shown]
        if self.total > len(shown):
            lines.append(f"and {self.total - len(shown)} more")
        count = "1 fault" if self.total == 1 else f"{self.total} faults"
        return ManifestError(f"{redact(self.uri)}: {count}\n  " + "\n  ".join(lines))

    def refuse(self, row: int, message: str) -> NoReturn:
        """Raise ManifestError for this fault alone: what stands behind it is not read."""
        raise ManifestError(f"{redact(self.uri)}: {self._placed(row, message)}")

    def _placed(self, row: int, message: str) -> str:
        return f"{self.unit} {row}: {message}" if row else message

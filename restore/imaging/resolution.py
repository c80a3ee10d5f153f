"""The resolution that a file states, in the unit in which it states it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Literal

Unit = Literal["inch", "centimetre", "none"]
_CENTIMETRES = 2.54  # of an inch
_LEAST, _MOST = 0.1, 100_000  # per inch, or without a unit; the formats' fields hold these
_RATIO = 1000  # largest denominator of a ratio that is written in whole numbers


@dataclass(frozen=True, slots=True)
class Resolution:
    """Pixels a unit of length, across and down. Without a unit only their ratio means something."""

    x: float
    y: float
    unit: Unit = "inch"

    @property
    def dpi(self) -> tuple[float, float]:
        """Horizontal and vertical dots per inch; the numbers as they are where they have no unit."""
        scale = _CENTIMETRES if self.unit == "centimetre" else 1.0
        return self.x * scale, self.y * scale

    @property
    def usable(self) -> bool:
        """Whether the formats' fields hold it."""
        return all(_LEAST <= value <= _MOST for value in self.dpi)

    def turned(self) -> Resolution:
        """That of the picture on its side."""
        return replace(self, x=self.y, y=self.x)

    def per(self, unit: Unit) -> Resolution:
        """The same in another unit, inch or centimetre."""
        scale = {("inch", "centimetre"): 1 / _CENTIMETRES, ("centimetre", "inch"): _CENTIMETRES}
        factor = scale.get((self.unit, unit), 1.0)
        return Resolution(self.x * factor, self.y * factor, unit)

    def whole(self) -> tuple[int, int]:
        """The numbers, rounded; without a unit, whole numbers of about their ratio."""
        if self.unit != "none" or (self.x, self.y) == (round(self.x), round(self.y)):
            return round(self.x), round(self.y)
        least = min(self.x, self.y)
        ratio = Fraction(max(self.x, self.y) / least).limit_denominator(_RATIO)
        sides = ratio.numerator, ratio.denominator
        return sides if self.y == least else sides[::-1]


def stated(x: float, y: float, unit: Unit) -> Resolution | None:
    """What a file's numbers state; None where they state nothing: zeros, or 1 to 1 without a unit."""
    if not (x and y) or (unit == "none" and x == y == 1):
        return None
    return Resolution(x, y, unit)


def preferred(*candidates: Resolution | None) -> Resolution | None:
    """The first that has a unit, or else the first."""
    known = [each for each in candidates if each is not None]
    return next((each for each in known if each.unit != "none"), known[0] if known else None)

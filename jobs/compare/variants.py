"""Variants of a recipe: from the axes of a grid, or from a file that names them."""

from __future__ import annotations

import csv
import hashlib
import itertools
import math
import re
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from restore.errors import UsageError
from restore.recipe import FIXED_AT_LOAD, Recipe, read_recipe

MAX_VARIANTS = 500
MAX_SEGMENT_BYTES = 120
"""Of a variant's name in an item_id; a longer one ends in a hash of itself."""

_RANGE = re.compile(r"(-?\d+)\.\.(-?\d+)")
_DRAWN = re.compile(r"random:(\d+)")
_NOT_IN_ID = re.compile(r"[/\\:?#*\[\]%\x00-\x1f\x7f-\x9f]")


@dataclass(frozen=True, slots=True)
class Variant:
    """What one variant sets.

    Attributes:
        fields: recipe fields by name, `models.ROLE` among them, each value as text.
        recipe: the whole recipe that comes of it, but for what a row sets for itself.
    """

    name: str
    fields: Mapping[str, str]
    recipe: Recipe

    @property
    def fixed(self) -> tuple[str, ...]:
        """`name=value` of what a worker fixes when it loads its models: such variants run by themselves."""
        return tuple(f"{name}={value}" for name, value in self.fields.items() if _is_fixed(name))

    @property
    def overrides(self) -> dict[str, str]:
        """What each row sets."""
        return {name: value for name, value in self.fields.items() if not _is_fixed(name)}

    @property
    def segment(self) -> str:
        """The name as the last segment of an item_id."""
        escaped = _NOT_IN_ID.sub(lambda found: f"%{ord(found[0]):02X}", self.name).strip()
        if len(escaped.encode()) <= MAX_SEGMENT_BYTES and escaped not in ("", ".", ".."):
            return escaped
        digest = hashlib.sha256(self.name.encode()).hexdigest()[:8]
        return f"{escaped.encode()[: MAX_SEGMENT_BYTES - 10].decode(errors='ignore')} {digest}"


@dataclass(frozen=True, slots=True)
class Variants:
    """The variants of one comparison.

    Attributes:
        impossible: by name, why a recipe of these fields cannot be.
    """

    possible: tuple[Variant, ...]
    impossible: Mapping[str, str]


def _is_fixed(name: str) -> bool:
    return name.partition(".")[0] in FIXED_AT_LOAD


def of_grid(axes: Sequence[str], recipe: str | None, settings: Sequence[str]) -> Variants:
    """The product of axes `NAME=V1,V2,...`.

    Whole numbers may be a range, as `seed=1..8`. Seeds may be drawn from the recipe's own seed, as
    `seed=random:8`. A value with a comma stands in double quotes.

    Args:
        recipe, settings: the recipe that is varied, as `read_recipe` takes them.

    Raises:
        UsageError: an axis that cannot be read, two of one name, too many variants, or none that can be.
    """
    seed = read_recipe(recipe, settings).seed
    values: dict[str, list[str]] = {}
    for text in axes:
        name, equals, listed = text.partition("=")
        if not equals or not name or not listed:
            raise UsageError(f"--grid {text}: give it as NAME=V1,V2,...")
        if name in values:
            raise UsageError(f"--grid {text}: {name} is an axis already; list all its values once")
        values[name] = _values(text, listed, seed)
    count = math.prod(map(len, values.values()))
    if count > MAX_VARIANTS:
        sizes = " x ".join(f"{len(axis)} {name}" for name, axis in values.items())
        raise UsageError(f"--grid: {sizes} are {count:,} variants; the limit is {MAX_VARIANTS}")
    cells = [dict(zip(values, cell, strict=True)) for cell in itertools.product(*values.values())]
    named = {", ".join(f"{name}={value}" for name, value in cell.items()): cell for cell in cells}
    return _checked(named, recipe, settings)


def _values(text: str, listed: str, seed: int) -> list[str]:
    try:
        (parts,) = csv.reader([listed], skipinitialspace=True, strict=True)
    except (csv.Error, ValueError):
        raise UsageError(f"--grid {text}: a double quote does not close") from None
    values = [value for part in parts for value in _expanded(text, part.strip(), seed)]
    if len(set(values)) < len(values):
        raise UsageError(f"--grid {text}: a value comes twice")
    return values


def _expanded(text: str, part: str, seed: int) -> Iterable[str]:
    if found := _RANGE.fullmatch(part):
        first, last = map(int, found.groups())
        if not 0 <= last - first < MAX_VARIANTS:
            raise UsageError(f"--grid {text}: {part} must rise, over at most {MAX_VARIANTS} values")
        return map(str, range(first, last + 1))
    if found := _DRAWN.fullmatch(part):
        return [str(_drawn(seed, number)) for number in range(min(int(found[1]), MAX_VARIANTS + 1))]
    return [part]


def _drawn(seed: int, number: int) -> int:
    """The same seeds on every machine, and the first ones whatever their count."""
    return int.from_bytes(hashlib.sha256(f"{seed}/{number}".encode()).digest()[:4], "big")


def of_file(path: str, recipe: str | None, settings: Sequence[str]) -> Variants:
    """The variants of a TOML file: a table `[variants."NAME"]` of recipe fields for each.

    Raises:
        UsageError: a file that cannot be read, or no variant that can be.
    """
    try:
        found = tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise UsageError(f"--variants {path}: cannot be read: {error}") from None
    tables = found.get("variants")
    if not isinstance(tables, dict) or not tables or set(found) != {"variants"}:
        raise UsageError(
            f'--variants {path}: give a table [variants."NAME"] for each variant, and nothing else'
        )
    if len(tables) > MAX_VARIANTS:
        raise UsageError(f"--variants {path}: {len(tables):,} variants; the limit is {MAX_VARIANTS}")
    for name, table in tables.items():
        if not isinstance(table, dict):
            raise UsageError(f"--variants {path}: {name} is no table of recipe fields")
    return _checked({name: _as_text(table) for name, table in tables.items()}, recipe, settings)


def _as_text(table: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    fields: dict[str, str] = {}
    for name, value in table.items():
        if isinstance(value, dict):
            fields |= _as_text(value, f"{prefix}{name}.")
        elif isinstance(value, list):
            fields[prefix + name] = ",".join(map(str, value))
        else:
            fields[prefix + name] = str(value).lower() if isinstance(value, bool) else str(value)
    return fields


def _checked(named: Mapping[str, Mapping[str, str]], recipe: str | None, settings: Sequence[str]) -> Variants:
    possible: list[Variant] = []
    impossible: dict[str, str] = {}
    for name, fields in named.items():
        try:
            whole = read_recipe(recipe, [*settings, *(f"{field}={value}" for field, value in fields.items())])
        except UsageError as error:
            impossible[name] = str(error)
        else:
            possible.append(Variant(name, fields, whole))
    if not possible:
        name, why = next(iter(impossible.items()))
        raise UsageError(f"no variant can be made; {name}: {why}")
    _require_different(possible)
    return Variants(tuple(possible), impossible)


def _require_different(variants: Sequence[Variant]) -> None:
    seen: dict[str, Variant] = {}
    for variant in variants:
        other = seen.setdefault(variant.recipe.model_dump_json(), variant)
        if other is not variant:
            raise UsageError(f"variants {other.name} and {variant.name} make the same pictures; remove one")
    if len({variant.segment for variant in variants}) < len(variants):
        raise UsageError("two variants have names that differ in white space only; rename one")

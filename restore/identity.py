"""Version tokens, recipe and engine hashes, work keys: what makes a picture the one that was asked for.

A work key names one picture wanted of one photo. The same formula stands in SQL in
`manifests.planning.plan`, for millions of rows at once; a test holds the two equal.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from restore.methods import METHODS, Method, Role
from restore.recipe import FIXED_AT_LOAD, INTRODUCED, Kind, Recipe, override_kinds

PIPELINE_VERSION = 1
"""Bumped by hand when the pixels around the engine change: masks, windows, composite, encoding."""

_INT = re.compile(r"[+-]?[0-9]{1,18}")
_FLOAT = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]{1,3})?")
_TRUE, _FALSE = ("true", "1", "yes"), ("false", "0", "no")


def canonical(value: Any) -> str:
    """JSON with sorted keys, no spaces, UTF-8 kept as it is."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def sha256_text(text: str) -> str:
    """Hex sha256 of the UTF-8 bytes of `text`."""
    return hashlib.sha256(text.encode()).hexdigest()


def sha256_bytes(data: bytes) -> str:
    """Hex sha256 of `data`."""
    return hashlib.sha256(data).hexdigest()


def recipe_hash(recipe: Recipe) -> str:
    """Hash of all settings that differ from the default they were introduced with."""
    values = recipe.model_dump(exclude=set(FIXED_AT_LOAD))
    changed = {name: value for name, value in values.items() if value != INTRODUCED[name]}
    return sha256_text(canonical(changed))


def engine_hash(method: Method, dtype: str = "", digests: Mapping[Role, str] = MappingProxyType({})) -> str:
    """Engine hash of one method.

    Args:
        dtype: of a trained method's models. A method without weights has no use for it.
        digests: for each role, the digest of all of its files; a checkpoint's scheduler is one of them.
    """
    engine = METHODS[method].engine
    members: list[object] = [engine.name, engine.version]
    if METHODS[method].trained:
        members += [dtype, dict(digests)]
    return sha256_text(canonical(members))


def auto_hash(thin: str, thick: str) -> str:
    """Engine hash of engine=auto where it means one engine for thin damage and another for the rest."""
    return sha256_text(canonical(["auto", thin, thick]))


def overrides_json(columns: Mapping[str, Any]) -> str:
    """Canonical JSON of a row's recipe columns, nulls left out, values in the field's own kind.

    CSV gives strings and Parquet gives numbers; both must give the same work key. A value that does
    not parse stays a string here and fails as `invalid_row` when its photo's turn comes.
    """
    kinds = override_kinds()
    return canonical(
        {name: _coerce(kinds[name], value) for name, value in columns.items() if value is not None}
    )


def _coerce(kind: Kind, value: Any) -> Any:
    text = canonical(value) if not isinstance(value, str) else value
    if kind == "int" and _INT.fullmatch(text):
        return int(text)
    if kind == "float" and _FLOAT.fullmatch(text) and math.isfinite(float(text)):
        return float(text)
    if kind == "bool" and text.lower() in (*_TRUE, *_FALSE):
        return text.lower() in _TRUE
    return text


def work_key(
    image_version: str | None, mask_version: str | None, recipe_hash: str, overrides: str, engine_hash: str
) -> str:
    """The name of one wanted picture: its inputs, its recipe and what paints it.

    Args:
        overrides: canonical JSON, from `overrides_json`.
    """
    return sha256_text(
        canonical(
            [
                "v1",
                image_version,
                mask_version,
                recipe_hash,
                json.loads(overrides),
                PIPELINE_VERSION,
                engine_hash,
            ]
        )
    )


def output_name(item_id: str, key: str, extension: str) -> str:
    """Path of a restored image below OUT."""
    return f"images/{item_id}.{key[:12]}.{extension}"


def item_seed(seed: int, item_id: str, window: int) -> int:
    """Seed of one window of one photo, below 2**63, the same on every worker."""
    digest = hashlib.sha256(canonical([seed, item_id, window]).encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1

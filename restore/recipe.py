"""What to do to a photo: frozen, validated, hashable.

A recipe is laid down in layers, each overriding the one before: the defaults below, a TOML file,
settings `name=value`, and the manifest row's own columns. Every layer passes the same validation.
"""

from __future__ import annotations

import math
import tomllib
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeAlias, get_args, get_origin

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    create_model,
    field_validator,
    model_validator,
)

from restore.errors import ErrorCode, ItemError, UsageError
from restore.formats import WRITTEN
from restore.methods import CHECKPOINTS, METHODS, Role

Scheduler = Literal["checkpoint", "euler", "dpmpp_2m_karras", "ddim", "unipc"]
Polarity = Literal["white_is_damage", "black_is_damage"]
Mode = Literal["inpaint", "outpaint"]
Dtype = Literal["float16", "bfloat16", "float32"]
Offload = Literal["none", "model"]
Compile = Literal["none", "regional", "full"]
Kind = Literal["str", "int", "float", "bool"]
if TYPE_CHECKING:
    EngineName: TypeAlias = str
    OutputFormat: TypeAlias = str
else:
    EngineName = Literal[("auto", *METHODS)]
    OutputFormat = Literal[("source", *WRITTEN)]

MAX_MARGIN = 8192
"""The most that `expand` adds on one side, px."""


class _Models(BaseModel):
    """What the trained methods are loaded from: a hub id at a revision, a local directory or a store URI.

    One field per role of `restore.methods`. An empty `vae` means the inpaint pipeline's own VAE; an empty
    `refiner` leaves the base alone.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    def named(self, role: Role) -> str:
        """The name that the recipe gives the checkpoint of a role; "" for none."""
        name: str = getattr(self, role)
        return name


if TYPE_CHECKING:
    Models: TypeAlias = _Models
else:
    Models = create_model(
        "Models",
        __base__=_Models,
        __doc__=_Models.__doc__,
        **{role: (str, checkpoint.default) for role, checkpoint in CHECKPOINTS.items()},
    )


def _margins(value: Any) -> Any:
    """`expand` in its one spelling, from a list of a TOML file or from text."""
    parts = value.split(",") if isinstance(value, str) else value
    try:
        margins = [int(part) for part in parts]
    except (TypeError, ValueError):
        margins = []
    if len(margins) != 4 or not all(0 <= margin <= MAX_MARGIN for margin in margins):
        raise ValueError(f"must be left,top,right,bottom in pixels, each from 0 to {MAX_MARGIN}")
    return ",".join(str(margin) for margin in margins)


class Recipe(BaseModel):
    """All settings that can change a restored picture. Lengths are in source pixels.

    Batch sizes, worker counts and the like are not here: they must not change a picture. `FIXED_AT_LOAD`
    holds the fields that belong to the engine and not to the photo.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    engine: Annotated[EngineName, Field(description="what paints; auto is the profile's choice")] = "auto"
    prompt: Annotated[
        str, Field(max_length=2000, description="what the damage should become, for a trained engine")
    ] = ""
    negative_prompt: Annotated[str, Field(max_length=2000, description="what it should not become")] = ""
    num_inference_steps: Annotated[int, Field(ge=1, le=1000, description="denoising steps")] = 30
    guidance_scale: Annotated[
        float, Field(ge=0, le=50, description="how closely the prompt is followed; 1 or less turns it off")
    ] = 7.5
    strength: Annotated[
        float, Field(gt=0, le=1, description="noise added to the filled damage; 1 starts from noise alone")
    ] = 0.99
    high_noise_frac: Annotated[
        float, Field(gt=0, lt=1, description="share of the steps that the base runs before the refiner")
    ] = 0.8
    refine: Annotated[bool, Field(description="run the refiner after the base")] = True
    seed: Annotated[
        int, Field(ge=0, le=2**63 - 1, description="noise; each photo and window derives its own from it")
    ] = 0
    seed_key: Annotated[
        str, Field(max_length=700, description="id that the noise is derived from; the photo's own if empty")
    ] = ""
    scheduler: Annotated[Scheduler, Field(description="sampler of the denoising steps")] = "checkpoint"
    mask_polarity: Annotated[Polarity, Field(description="which end of a mask's values is damage")] = (
        "white_is_damage"
    )
    mask_threshold: Annotated[
        int, Field(ge=1, le=255, description="mask value, 1 to 255, from which a pixel is damaged")
    ] = 128
    max_coverage: Annotated[
        float, Field(gt=0, le=1, description="fraction of a photo that its mask may mark; more fails the row")
    ] = 0.6
    dilate_kernel: Annotated[
        int, Field(ge=1, le=99, description="px, odd: how far one dilation grows the damage")
    ] = 5
    dilate_iterations: Annotated[int, Field(ge=0, le=20, description="how often the damage is dilated")] = 1
    feather: Annotated[
        int, Field(ge=0, le=64, description="px: how far outside the damage the blend ends")
    ] = 4
    window_context: Annotated[
        int, Field(ge=8, le=512, description="px of known picture round each window's damage")
    ] = 64
    thin_radius: Annotated[
        float,
        Field(ge=0, le=64, description="px at 1 megapixel: auto sends thinner damage to classical"),
    ] = 3.0
    output_format: Annotated[OutputFormat, Field(description="file format of the result")] = "source"
    quality: Annotated[int, Field(ge=1, le=100, description="of JPEG and lossy WebP")] = 95
    mode: Annotated[Mode, Field(description="repaint the damage, or all but what the mask keeps")] = "inpaint"
    expand: Annotated[
        str, BeforeValidator(_margins), Field(description="px: left,top,right,bottom, with mode=outpaint")
    ] = "0,0,0,0"
    guidance_cutoff: Annotated[float, Field(gt=0, le=1, description="share of the steps that are guided")] = (
        1.0
    )
    models: Annotated[
        Models, Field(description="what the trained engines are loaded from: models.ROLE=NAME")
    ] = Models()
    dtype: Annotated[Dtype, Field(description="number format of the models")] = "float16"
    offload: Annotated[Offload, Field(description="keep models in CPU memory between uses")] = "none"
    compile: Annotated[Compile, Field(description="compile the models with torch.compile")] = "none"

    @property
    def margins(self) -> tuple[int, int, int, int]:
        """`expand` as numbers: (left, top, right, bottom), px."""
        left, top, right, bottom = (int(part) for part in self.expand.split(","))
        return left, top, right, bottom

    @field_validator("dilate_kernel")
    @classmethod
    def _odd(cls, value: int) -> int:
        if value % 2 == 0:
            raise ValueError(f"must be odd, {value - 1} or {value + 1} for instance")
        return value

    @model_validator(mode="after")
    def _base_has_steps(self) -> Recipe:
        if self.refine and base_steps(self) < 1:
            raise ValueError(
                f"strength={self.strength} with high_noise_frac={self.high_noise_frac} leaves the base "
                f"no step of {self.num_inference_steps}; raise one of them, or set refine=false"
            )
        return self

    @model_validator(mode="after")
    def _refiner_is_named(self) -> Recipe:
        if self.refine and "refiner" in _roles(self.engine) and not self.models.named("refiner"):
            raise ValueError("refine=true needs models.refiner; name one, or set refine=false")
        return self

    @model_validator(mode="after")
    def _guidance_reads_the_negative_prompt(self) -> Recipe:
        if self.negative_prompt and self.guidance_scale <= 1:
            raise ValueError(
                f"guidance_scale={self.guidance_scale:g} turns guidance off, so negative_prompt would do "
                "nothing; raise guidance_scale above 1, or leave negative_prompt empty"
            )
        return self

    @model_validator(mode="after")
    def _only_outpainting_expands(self) -> Recipe:
        if any(self.margins) and self.mode != "outpaint":
            raise ValueError(f"expand={self.expand} needs mode=outpaint")
        return self


FIXED_AT_LOAD = ("models", "dtype", "offload", "compile")
"""Fields that an actor fixes when it loads its models, so no row may override them. The recipe's hash
leaves them out: `models` and `dtype` are in the engine's hash, and `offload` and `compile` change where
and how fast the same arithmetic is done, which moves a pixel no further than another GPU would."""

CHANGED_DEFAULTS: Mapping[str, Any] = MappingProxyType({})
"""For each field whose default has changed since, the default it was introduced with."""

INTRODUCED: Mapping[str, Any] = MappingProxyType(
    {
        name: CHANGED_DEFAULTS.get(name, field.default)
        for name, field in Recipe.model_fields.items()
        if name not in FIXED_AT_LOAD
    }
)
"""The default each field was introduced with. The recipe's hash leaves out a field at this value, so that
a new field, or a changed default, redoes only what it must."""


def _roles(engine: EngineName) -> tuple[Role, ...]:
    return METHODS[engine].roles if engine in METHODS else ()


def describe_fields() -> list[str]:
    """One line for each field: its name, its default and what it means."""
    rows = [
        (f"{name}={'' if name == 'models' else field.default}", field.description)
        for name, field in Recipe.model_fields.items()
    ]
    width = max(len(setting) for setting, _ in rows)
    return [f"  {setting:{width}}  {meaning}" for setting, meaning in rows]


def base_steps(recipe: Recipe) -> int:
    """Denoising steps that the base runs before the refiner takes over.

    `strength` drops steps from the start and `high_noise_frac` from the end, as diffusers counts
    them: `int(steps * strength)` are kept, and those below the split belong to the refiner.
    """
    steps = recipe.num_inference_steps
    dropped = steps - min(int(steps * recipe.strength), steps)
    return math.floor(steps * recipe.high_noise_frac + 1e-9) - dropped


def override_kinds() -> dict[str, Kind]:
    """The fields that a manifest row may override, each with the kind of value it holds."""
    return {
        name: _kind(field.annotation)
        for name, field in Recipe.model_fields.items()
        if name not in FIXED_AT_LOAD
    }


def _kind(annotation: Any) -> Kind:
    if get_origin(annotation) is Literal:
        annotation = type(get_args(annotation)[0])
    return {str: "str", int: "int", float: "float", bool: "bool"}[annotation]  # type: ignore[return-value]


def read_recipe(path: str | None, assignments: Sequence[str]) -> Recipe:
    """The recipe of a TOML file and of settings `name=value`.

    Raises:
        UsageError: naming the file, the assignment or each bad field.
    """
    for text in assignments:
        if "=" not in text:
            raise UsageError(f"set {text}: give it as name=value")
    return load_recipe(_toml(path), dict(text.split("=", 1) for text in assignments))


def _toml(path: str | None) -> str | None:
    if path is None:
        return None
    try:
        return Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"recipe {path} cannot be read: {error}") from None


def load_recipe(toml: str | None = None, settings: Mapping[str, str] | None = None) -> Recipe:
    """Defaults < TOML text < settings `name=value`.

    Raises:
        UsageError: naming each bad field, its value and what is allowed.
    """
    try:
        values = tomllib.loads(toml) if toml else {}
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"the recipe is not valid TOML: {error}") from None
    return recipe_of(_set(values, settings or {}))


def recipe_of(values: Mapping[str, Any]) -> Recipe:
    """The defaults with these fields laid over them.

    Raises:
        UsageError: naming each bad field, its value and what is allowed.
    """
    try:
        return Recipe.model_validate(values)
    except ValidationError as error:
        raise UsageError("recipe: " + explain(error)) from None


def _set(values: Mapping[str, Any], settings: Mapping[str, str]) -> dict[str, Any]:
    """`values` with the settings laid over them; a dotted name sets one value of a table."""
    merged = dict(values)
    for name, value in settings.items():
        table, dot, key = name.partition(".")
        if dot and isinstance(merged.get(table, {}), dict):
            merged[table] = {**merged.get(table, {}), key: value}
        else:
            merged[name] = value
    return merged


def with_overrides(recipe: Recipe, overrides: Mapping[str, Any]) -> Recipe:
    """The effective recipe of one row.

    Raises:
        ItemError: `invalid_row`, naming the column, its value and what is allowed.
    """
    if not overrides:
        return recipe
    try:
        return Recipe.model_validate({**recipe.model_dump(), **overrides})
    except ValidationError as error:
        raise ItemError(ErrorCode.INVALID_ROW, explain(error)) from None


def explain(error: ValidationError) -> str:
    """One line per fault: the field, the value, what is allowed."""
    return "; ".join(_fault(fault) for fault in error.errors())


def _fault(fault: Any) -> str:
    name = ".".join(str(part) for part in fault["loc"])
    if fault["type"] == "extra_forbidden":
        known = [*Recipe.model_fields, *(f"models.{role}" for role in Models.model_fields)]
        near = get_close_matches(name, known, n=1)
        hint = f", did you mean {near[0]}?" if near else f"; known are {', '.join(known)}"
        return f"{name} is not a setting{hint}"
    message = str(fault["msg"]).removeprefix("Value error, ").removeprefix("Input ")
    return f"{name}={fault['input']!r}: {message}" if name else message

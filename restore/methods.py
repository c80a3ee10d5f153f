"""The restoration methods: one row each, and nothing else of this package imported.

A recipe's field `engine` names a method. Recipe, hashes, weights, engines and jobs read the rows below, so
adding a method takes one row here, the engine's own file and one row in `restore.engines.cost`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TypeAlias

Method: TypeAlias = str
"""A name of `METHODS`."""

Role: TypeAlias = str
"""What a checkpoint is for; a field of the recipe's table `models`."""

Size: TypeAlias = tuple[int, int]
"""(width, height) in pixels."""

SDXL_SIZES: tuple[Size, ...] = (
    (1024, 1024),
    (1152, 896),
    (896, 1152),
    (1216, 832),
    (832, 1216),
    (1344, 768),
    (768, 1344),
    (1536, 640),
    (640, 1536),
)
"""What SDXL was trained on (Podell et al. 2023, appendix I), the common ones, all of about a megapixel."""


@dataclass(frozen=True, slots=True)
class Engine:
    """The code that paints one or several methods.

    Attributes:
        name: as the engine hash spells it.
        version: raised by hand when the engine paints other pixels from the same task.
        builder: `module:function`; the function takes an `EngineConfig` and returns the engine. The module
            is imported only where the engine is built, since it may import torch.
    """

    name: str
    version: int
    builder: str


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A trained model in diffusers' layout.

    Attributes:
        role: its field in the recipe's table `models`.
        default: the hub id at a revision that the recipe names by default. A model that changed under its
            name would change pictures.
        parts: the folders that are loaded; "" is the checkpoint's own top folder.
    """

    role: Role
    default: str
    parts: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class MethodRow:
    """One method.

    Attributes:
        engine: the code that paints it.
        sizes: the window sizes it paints, or None for native crops in the source's depth.
        checkpoints: what it is loaded from; none for a method without trained weights.
    """

    engine: Engine
    sizes: tuple[Size, ...] | None = None
    checkpoints: tuple[Checkpoint, ...] = ()

    @property
    def trained(self) -> bool:
        """Whether its paint comes from a trained model."""
        return bool(self.checkpoints)

    @property
    def roles(self) -> tuple[Role, ...]:
        """The roles of its checkpoints."""
        return tuple(checkpoint.role for checkpoint in self.checkpoints)


_CLASSICAL = Engine("classical", 2, "restore.engines.classical:classical_engine")

METHODS: Mapping[Method, MethodRow] = MappingProxyType(
    {
        "telea": MethodRow(engine=_CLASSICAL),
        "ns": MethodRow(engine=_CLASSICAL),
        "heal": MethodRow(engine=Engine("heal", 1, "restore.engines.heal.engine:heal_engine")),
        "sdxl": MethodRow(
            engine=Engine("sdxl", 1, "restore.engines.diffusion.sdxl:sdxl_engine"),
            sizes=SDXL_SIZES,
            checkpoints=(
                Checkpoint(
                    "inpaint",
                    "diffusers/stable-diffusion-xl-1.0-inpainting-0.1@115134f363124c53c7d878647567d04daf26e41e",
                    (
                        *("scheduler", "text_encoder", "text_encoder_2", "tokenizer", "tokenizer_2"),
                        *("unet", "vae"),
                    ),
                ),
                Checkpoint(  # shares the base's second text encoder, tokenizer and VAE
                    "refiner",
                    "stabilityai/stable-diffusion-xl-refiner-1.0@5d4cfe854c9a9a87939ff3653551c2b3c99a4356",
                    ("scheduler", "unet"),
                ),
                Checkpoint(
                    "vae",
                    "madebyollin/sdxl-vae-fp16-fix@207b116dae70ace3637169f1ddd2434b91b3a8cd",
                    ("",),
                ),
            ),
        ),
        "sd2": MethodRow(
            engine=Engine("sd2", 1, "restore.engines.diffusion.sd2:sd2_engine"),
            sizes=((512, 512),),
            checkpoints=(
                Checkpoint(
                    "sd2",
                    "sd2-community/stable-diffusion-2-inpainting@5f74973cbb64c8568780732c17f43eb269d63a0d",
                    ("scheduler", "text_encoder", "tokenizer", "unet", "vae"),
                ),
            ),
        ),
    }
)

THIN: Method = "ns"
"""What repairs thin damage where engine=auto means a trained method: equal in quality there, at no cost."""

UNTRAINED: tuple[Method, ...] = tuple(name for name, row in METHODS.items() if not row.trained)

TRAINED: tuple[Method, ...] = tuple(name for name, row in METHODS.items() if row.trained)

CHECKPOINTS: Mapping[Role, Checkpoint] = MappingProxyType(
    {checkpoint.role: checkpoint for row in METHODS.values() for checkpoint in row.checkpoints}
)
"""Every checkpoint by its role."""


def sizes_of(method: Method) -> tuple[Size, ...] | None:
    """The window sizes that `method` paints, (width, height) in px; None for native crops."""
    return METHODS[method].sizes


def any_trained(methods: Collection[Method]) -> bool:
    """Whether a trained model paints for one of them."""
    return any(METHODS[method].trained for method in methods)

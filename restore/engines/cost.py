"""What painting costs, before any of it is done: TFLOP per window from a table. No torch.

A multiplication and an addition count as two. The text encoders are left out: a text is encoded once.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from restore.methods import METHODS, Method, Size
from restore.recipe import Recipe, base_steps


@dataclass(frozen=True, slots=True)
class Tflop:
    """One forward of each model on one window, unguided. At SD 2's size `base` is its own UNet."""

    base: float
    refiner: float
    encode: float
    decode: float


# `python -m restore.engines.diffusion.flops` prints it from the real configurations; a test counts one again.
TABLE: Mapping[Size, Tflop] = MappingProxyType(
    {
        (1024, 1024): Tflop(base=6.762, refiner=7.286, encode=4.879, decode=10.470),
        (1152, 896): Tflop(base=6.645, refiner=7.155, encode=4.794, decode=10.298),
        (896, 1152): Tflop(base=6.645, refiner=7.155, encode=4.794, decode=10.298),
        (1216, 832): Tflop(base=6.500, refiner=6.991, encode=4.689, decode=10.084),
        (832, 1216): Tflop(base=6.500, refiner=6.991, encode=4.689, decode=10.084),
        (1344, 768): Tflop(base=6.645, refiner=7.155, encode=4.794, decode=10.298),
        (768, 1344): Tflop(base=6.645, refiner=7.155, encode=4.794, decode=10.298),
        (1536, 640): Tflop(base=6.298, refiner=6.764, encode=4.542, decode=9.784),
        (640, 1536): Tflop(base=6.298, refiner=6.764, encode=4.542, decode=9.784),
        (512, 512): Tflop(base=0.804, refiner=0.0, encode=1.117, decode=2.515),
    }
)

_BENCHMARK = 20 * 2 * 6.762 + 10.470  # one sample of MLPerf's: 1024 x 1024, 20 steps, guided
_SAMPLES_A_SECOND = {
    "B200": 4.07,
    "H200": 2.33,
    "H100": 2.26,
    "A100": 2.26 * 1471 / 2742,
    "L40S": 0.69,
    "L4": 0.25,
}
"""MLPerf Inference 5.1, SDXL offline: what a tuned server reaches. It has no A100, which takes 2742 ms in
TensorRT where an H100 takes 1471 (the model card of stabilityai/stable-diffusion-xl-1.0-tensorrt)."""

MEASURED = "H200"
_REACHED = 287 / (2.33 * _BENCHMARK)  # this engine on an H200 by `python -m tests.bench gpu`, eager

RATES: Mapping[str, float] = MappingProxyType(
    {gpu: rate * _BENCHMARK * _REACHED for gpu, rate in _SAMPLES_A_SECOND.items()}
)
"""TFLOP per second of one GPU: measured on `MEASURED`, of the others the same part of MLPerf's figure."""


def window_tflop(size: Size, recipe: Recipe, method: Method) -> float:
    """What one window of a diffusion engine takes: two encodes, all steps, one decode.

    Steps are counted as `recipe.base_steps` does; a sampler's spacing may move one from base to refiner.
    """
    one = TABLE[size]
    steps = recipe.num_inference_steps
    kept = min(int(steps * recipe.strength), steps)
    base = base_steps(recipe) if recipe.refine and "refiner" in METHODS[method].roles else kept
    guided = max(round(steps * recipe.guidance_cutoff) - (steps - kept), 0)
    if recipe.guidance_scale <= 1:
        guided = 0
    twice_base = min(base, guided)
    calls = (base + twice_base, kept - base + guided - twice_base)
    return 2 * one.encode + calls[0] * one.base + calls[1] * one.refiner + one.decode

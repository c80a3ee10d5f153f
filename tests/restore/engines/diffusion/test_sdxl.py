"""SDXL: tiny random checkpoints, held against diffusers' own pipelines and against the promises."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from diffusers import (
    DDIMScheduler,
    DPMSolverMultistepScheduler,
    StableDiffusionXLInpaintPipeline,
    UniPCMultistepScheduler,
)
from PIL import Image

from restore.engines import EngineConfig, Painted, Task, build
from restore.engines.diffusion.denoising import sampler_for, started, trajectory
from restore.engines.diffusion.engine import DiffusionEngine
from restore.engines.diffusion.latents import Batch, cells, encoded
from restore.engines.diffusion.prompts import chunks
from restore.engines.diffusion.sdxl import Sdxl, load_sdxl
from restore.engines.prefill import prefill
from restore.errors import EngineError, ErrorCode, ItemError
from restore.methods import SDXL_SIZES
from restore.recipe import Compile
from tests.support.diffusion_tasks import SAMPLER, config, grey_levels, painted, task
from tests.support.tiny_checkpoints import WIDTH, Checkpoints, make_unet

CPU = torch.device("cpu")
STOCK_SAMPLERS = {
    "checkpoint": None,
    "dpmpp_2m_karras": (
        DPMSolverMultistepScheduler,
        {"algorithm_type": "dpmsolver++", "use_karras_sigmas": True},
    ),
    "ddim": (DDIMScheduler, {"clip_sample": False, "set_alpha_to_one": False}),
    "unipc": (UniPCMultistepScheduler, {}),
}


@pytest.fixture(scope="module")
def model(checkpoints: Checkpoints) -> Sdxl:
    return load_sdxl(config(checkpoints))


@pytest.fixture
def engine(model: Sdxl, checkpoints: Checkpoints) -> DiffusionEngine:
    return DiffusionEngine(model, SDXL_SIZES, config(checkpoints))


def batch_of(tasks: list[Task], model: Sdxl) -> Batch:
    return encoded(tasks, model.vae, CPU)


def denoised(tasks: list[Task], model: Sdxl) -> tuple[torch.Tensor, Batch]:
    sampler = tasks[0].sampler
    with torch.inference_mode():
        batch = batch_of(tasks, model)
        path = trajectory(
            sampler_for(sampler.scheduler, model.scheduler),
            sampler,
            [one.seed for one in tasks],
            CPU,
            refine=sampler.refine,
        )
        return model.denoised(batch, path), batch


def stock(checkpoints: Checkpoints, scheduler: str = "checkpoint", **more: Any) -> Any:
    pipeline = StableDiffusionXLInpaintPipeline.from_pretrained(
        more.pop("folder", checkpoints.inpaint), add_watermarker=False, **more
    )
    pipeline.set_progress_bar_config(disable=True)
    if (other := STOCK_SAMPLERS[scheduler]) is not None:
        pipeline.scheduler = other[0].from_config(pipeline.scheduler.config, **other[1])
    return pipeline


def stock_inputs(one: Task) -> dict[str, Any]:
    """A task for the stock pipeline: our prefilled window, our cell-aligned mask, our random numbers."""
    aligned = np.kron(cells(one.mask), np.ones((8, 8), bool))
    height, width = one.mask.shape
    return {
        "prompt": one.sampler.prompt,
        "negative_prompt": one.sampler.negative_prompt or None,
        "image": Image.fromarray(prefill(one.window, one.mask)),
        "mask_image": Image.fromarray(aligned),
        "height": height,
        "width": width,
        "num_inference_steps": one.sampler.num_inference_steps,
        "strength": one.sampler.strength,
        "guidance_scale": one.sampler.guidance_scale,
        "generator": torch.Generator("cpu").manual_seed(one.seed),
        "output_type": "latent",
    }


@pytest.mark.parametrize("scheduler", STOCK_SAMPLERS)
@pytest.mark.parametrize("words", [{}, {"negative_prompt": "blur", "strength": 0.6, "guidance_scale": 3.0}])
def test_the_base_alone_is_the_stock_pipelines(
    model: Sdxl, checkpoints: Checkpoints, scheduler: str, words: dict[str, Any]
) -> None:
    one = task(refine=False, scheduler=scheduler, **words)
    ours, _ = denoised([one], model)
    theirs = stock(checkpoints, scheduler)(**stock_inputs(one)).images
    assert torch.allclose(ours, theirs, rtol=0, atol=1e-4), float((ours - theirs).abs().max())


def test_the_known_region_survives_the_refiner_and_not_the_stock_chain(
    model: Sdxl, checkpoints: Checkpoints
) -> None:
    one = task()
    ours, batch = denoised([one], model)
    known = (batch.mask < 0.5).expand_as(ours)
    assert rmse(ours[known], batch.clean[known]) < 1e-5

    base = stock(checkpoints)
    refiner = stock(
        checkpoints,
        folder=checkpoints.refiner,
        text_encoder=None,
        tokenizer=None,
        **{name: getattr(base, name) for name in ("text_encoder_2", "tokenizer_2", "vae")},
    )
    given = stock_inputs(one)
    handed = base(**given, denoising_end=0.8).images
    chained = refiner(**{**given, "image": handed}, denoising_start=0.8).images
    assert rmse(chained[known], batch.clean[known]) > 0.1


def rmse(one: torch.Tensor, other: torch.Tensor) -> float:
    return float((one - other).square().mean().sqrt())


def test_the_refiner_takes_the_low_noise_levels(model: Sdxl) -> None:
    path = trajectory(sampler_for("checkpoint", model.scheduler), SAMPLER, [0], CPU, refine=True)
    assert len(path.base) + len(path.refiner) == 9 and len(path.refiner) == 2
    assert path.base.min() >= 200 > path.refiner.max()


@contextmanager
def counted(*modules: torch.nn.Module) -> Iterator[list[int]]:
    """How often each module is called."""
    calls = [0 for _ in modules]

    def counter(index: int) -> Any:
        def count(*_: Any) -> None:
            calls[index] += 1

        return count

    hooks = [module.register_forward_hook(counter(i)) for i, module in enumerate(modules)]
    yield calls
    for hook in hooks:
        hook.remove()


def test_the_latents_are_handed_over_without_a_decode(engine: DiffusionEngine, model: Sdxl) -> None:
    with counted(model.vae.encoder, model.vae.decoder) as calls:
        engine.paint([task()])
    assert calls == [2, 1], "clean and masked window in, one picture out"


def test_every_cell_that_a_scratch_touches_is_repainted() -> None:
    mask = np.zeros((1024, 1024), np.uint8)
    for number in range(12):
        cv2.line(mask, (30 + 80 * number, 10), (90 + 75 * number, 1000), 1, 2)
    pooled = np.kron(cells(mask.astype(bool)), np.ones((8, 8), bool))
    assert np.count_nonzero((mask > 0) & ~pooled) == 0
    nearest = np.kron(mask[::8, ::8] > 0, np.ones((8, 8), bool))
    assert np.count_nonzero((mask > 0) & ~nearest) > 0.5 * np.count_nonzero(mask), "what stock does"


def test_the_colour_of_the_damage_does_not_leak(model: Sdxl) -> None:
    white = task(strength=0.5)
    red = replace(white, window=np.where(white.mask[..., None], np.uint8([200, 0, 0]), white.window))
    first, second = (start(one, model) for one in (white, red))
    assert torch.equal(first, second)
    raw = [start(replace(one, filled=True), model) for one in (white, red)]
    assert rmse(*raw) > 10 * rmse(first, second) + 1e-3, "without the prefill it does"


def start(one: Task, model: Sdxl) -> torch.Tensor:
    """The latents that denoising begins with."""
    with torch.inference_mode():
        batch = encoded([one], model.vae, CPU)
        path = trajectory(
            sampler_for("checkpoint", model.scheduler), one.sampler, [one.seed], CPU, refine=True
        )
        return started(batch, path)


def test_a_batch_paints_what_its_items_do_alone(engine: DiffusionEngine) -> None:
    tasks = [
        task(0),
        task(1, prompt="a face", guidance_scale=3.0),
        task(2, negative_prompt="blurry", guidance_scale=1.0),
        task(3, prompt=""),
    ]
    alone = [painted(engine, [one])[0] for one in tasks]
    together = painted(engine, tasks)
    reordered = painted(engine, tasks[::-1])[::-1]
    paired = painted(engine, tasks[2:])
    for other in (together, reordered):
        assert max(grey_levels(a, b) for a, b in zip(alone, other, strict=True)) <= 1
    assert max(grey_levels(a, b) for a, b in zip(alone[2:], paired, strict=True)) <= 1
    assert min(grey_levels(alone[0], other) for other in alone[1:]) > 1, "they are different pictures"


def test_a_window_comes_back_in_its_shape_and_the_task_is_untouched(engine: DiffusionEngine) -> None:
    one = task(size=(96, 160))
    window, mask = one.window.copy(), one.mask.copy()
    answer = engine.paint([one])[0]
    assert isinstance(answer, Painted) and answer.window.shape == window.shape
    assert answer.window.dtype == np.uint8 and answer.scheduler == "EulerDiscreteScheduler"
    assert answer.steps == ()
    assert np.array_equal(one.window, window) and np.array_equal(one.mask, mask)


def test_seed_and_prompt_change_the_picture(engine: DiffusionEngine) -> None:
    one = task()
    first, again, seeded, said = painted(
        engine, [one, one, replace(one, seed=1), replace(one, sampler=replace(one.sampler, prompt="a cat"))]
    )
    assert np.array_equal(first, again)
    assert grey_levels(first, seeded) > 1 and grey_levels(first, said) > 1


LONG = "an old street in the rain with tram rails, wet cobbles and a row of lamps " * 2
"""More letters than the tiny tokenizer's 75 places."""


def test_the_end_of_a_long_prompt_counts(engine: DiffusionEngine) -> None:
    one, other = painted(engine, [task(prompt=LONG + "at night"), task(prompt=LONG + "at dawn")])
    assert grey_levels(one, other) > 1


def test_a_long_prompt_is_its_chunks_one_after_another(model: Sdxl) -> None:
    sampler = replace(SAMPLER, prompt=LONG)
    pieces = chunks(LONG, lambda text: len(model._base.tokenizer(text).input_ids) <= 77)
    assert len(pieces) == 2
    with torch.inference_mode():
        whole = model._prompts[model._base].positive(sampler)
        encoded = [model._base.encode_prompt(piece, do_classifier_free_guidance=False) for piece in pieces]
    assert torch.equal(whole.sequence, torch.cat([one[0][0] for one in encoded]))
    assert whole.pooled is not None and torch.equal(whole.pooled, encoded[0][2][0])


def test_a_long_neighbour_changes_nothing(engine: DiffusionEngine) -> None:
    short, long = task(0), task(1, prompt=LONG, negative_prompt="blur")
    alone = [painted(engine, [one])[0] for one in (short, long)]
    assert all(map(np.array_equal, alone, painted(engine, [short, long])))
    assert all(map(np.array_equal, alone, painted(engine, [long, short])[::-1]))


def test_each_text_is_encoded_once(checkpoints: Checkpoints) -> None:
    model = load_sdxl(config(checkpoints))
    engine = DiffusionEngine(model, SDXL_SIZES, config(checkpoints))
    first, second = model._base.text_encoder, model._base.text_encoder_2
    with counted(first, second) as calls:
        engine.paint([task(0), task(1), task(2, prompt="a face")])
        engine.paint([task(3), task(4, prompt="a face")])
    assert calls == [3, 6], 'two prompts and "", by base and, for the second encoder, refiner too'


def test_guidance_stops_at_the_cutoff(engine: DiffusionEngine, model: Sdxl) -> None:
    sizes: list[int] = []
    unet = model._base.unet
    hook = unet.register_forward_pre_hook(lambda _, given: sizes.append(len(given[0])))
    whole = painted(engine, [task()])[0]
    engine.paint([task(guidance_cutoff=0.5)])
    engine.paint([task(guidance_scale=1.0)])
    hook.remove()
    assert sizes == [2] * 7 + [2] * 4 + [1] * 3 + [1] * 7
    assert grey_levels(whole, painted(engine, [task(guidance_cutoff=0.5)])[0]) > 1


def test_a_refiner_that_leaves_the_base_no_step_is_the_rows_fault(engine: DiffusionEngine) -> None:
    answers = engine.paint([task(strength=0.2), task(strength=0.2)])
    assert [a.code for a in answers if isinstance(a, ItemError)] == [ErrorCode.INVALID_ROW] * 2
    assert "high_noise_frac" in str(answers[0])


def test_offloaded_models_paint_the_same(checkpoints: Checkpoints, engine: DiffusionEngine) -> None:
    turns = build(["sdxl"], config(checkpoints, offload="model"))["sdxl"]
    answer = turns.paint([task()])[0]
    assert isinstance(answer, Painted) and np.array_equal(answer.window, painted(engine, [task()])[0])


@pytest.mark.heavy  # inductor compiles for a minute or two
@pytest.mark.timeout(900)
@pytest.mark.parametrize(("compiling", "refine"), [("regional", True), ("regional", False), ("full", True)])
def test_compiled_models_paint_the_same_and_never_compile_again(
    checkpoints: Checkpoints, engine: DiffusionEngine, compiling: Compile, refine: bool
) -> None:
    roles = {"inpaint": str(checkpoints.inpaint), "vae": str(checkpoints.vae)}
    roles |= {"refiner": str(checkpoints.refiner)} if refine else {}
    settings = EngineConfig(directories=roles, compile=compiling, batch=3)  # type: ignore[arg-type]
    sizes = ((128, 96), (96, 128))
    compiled = DiffusionEngine(load_sdxl(settings), sizes, settings)
    batches = [
        [task(number, size, refine=refine, **more) for number in range(count)]
        for size in sizes
        for count in (1, 2, 3)
        for more in ({}, {"guidance_cutoff": 0.5}, {"guidance_scale": 1.0})
    ]
    with torch.compiler.set_stance("fail_on_recompile"):
        results = [painted(compiled, batch) for batch in batches]
    for batch, result in zip(batches, results, strict=True):
        assert max(map(grey_levels, result, painted(engine, batch))) <= 1


def test_without_a_refiner_the_base_paints_alone(checkpoints: Checkpoints, engine: DiffusionEngine) -> None:
    roles = {"inpaint": str(checkpoints.inpaint)}
    alone = build(["sdxl"], EngineConfig(directories=roles))["sdxl"]  # type: ignore[arg-type]
    one = task(refine=False)
    answer = alone.paint([one])[0]
    assert isinstance(answer, Painted) and np.array_equal(answer.window, painted(engine, [one])[0])
    with pytest.raises(EngineError, match=r"models\.refiner"):
        alone.paint([task()])


def test_the_vae_and_the_second_text_encoder_are_shared(model: Sdxl) -> None:
    base, refiner = model._base, model._refiner
    assert refiner is not None and refiner.vae is base.vae
    assert refiner.text_encoder_2 is base.text_encoder_2
    assert base.watermark is None and refiner.watermark is None


def test_the_wrong_checkpoint_is_named(checkpoints: Checkpoints, tmp_path: Path) -> None:
    swapped = replace(checkpoints, inpaint=checkpoints.refiner)
    with pytest.raises(EngineError, match=r"models\.inpaint"):
        load_sdxl(config(swapped))
    four = stock(checkpoints)
    four.unet = make_unet(4, cross=2 * WIDTH, projection=WIDTH + 48)
    four.save_pretrained(tmp_path / "plain")
    with pytest.raises(EngineError, match=r"models\.inpaint: its UNet has 4 input channels"):
        load_sdxl(config(replace(checkpoints, inpaint=tmp_path / "plain")))


def test_an_ensemble_needs_one_noise_schedule(checkpoints: Checkpoints, tmp_path: Path) -> None:
    other = stock(
        checkpoints, folder=checkpoints.refiner, text_encoder=None, tokenizer=None, text_encoder_2=None
    )
    other.scheduler.register_to_config(beta_end=0.02)
    other.save_pretrained(tmp_path / "refiner")
    with pytest.raises(EngineError, match="noise levels"):
        load_sdxl(config(replace(checkpoints, refiner=tmp_path / "refiner")))


@pytest.mark.skipif(torch.cuda.is_available(), reason="a GPU is there")
def test_a_missing_gpu_is_an_error_and_not_another_device(checkpoints: Checkpoints) -> None:
    with pytest.raises(EngineError, match="no usable CUDA GPU"):
        build(["sdxl"], config(checkpoints, device="cuda"))

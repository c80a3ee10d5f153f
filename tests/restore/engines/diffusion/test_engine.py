"""Diffusion: what both engines share, on an SDXL that has too little memory or precision."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from restore.engines import EngineConfig, Painted, build
from restore.engines.diffusion.engine import DiffusionEngine
from restore.engines.diffusion.loading import prepared
from restore.engines.diffusion.memory import micro_batch
from restore.engines.diffusion.sdxl import load_sdxl
from restore.errors import DeviceLost, ErrorCode, ItemError
from restore.methods import SDXL_SIZES
from tests.support.diffusion_tasks import config, grey_levels, painted, task
from tests.support.tiny_checkpoints import Checkpoints, make_unet, make_vae


def test_memory_running_out_is_a_smaller_batch_then_tiles_then_that_item(
    checkpoints: Checkpoints, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = load_sdxl(config(checkpoints))
    engine = DiffusionEngine(model, SDXL_SIZES, config(checkpoints))
    tasks = [task(number) for number in range(4)]
    expected = painted(engine, tasks)
    room = [3]
    decode = model.vae.decode

    def tight(latents: torch.Tensor, **more: Any) -> Any:
        if len(latents) > room[0] or (room[0] == 0 and not model.vae.use_tiling):
            raise torch.OutOfMemoryError("injected")
        return decode(latents, **more)

    monkeypatch.setattr(model.vae, "decode", tight)
    halved = engine.paint(tasks)
    assert [a.steps for a in halved if isinstance(a, Painted)] == [("micro_batch_2",)] * 4
    assert max(grey_levels(a.window, b) for a, b in zip(halved, expected, strict=True)) <= 1  # type: ignore[union-attr]
    room[0] = 1
    assert [a.steps for a in engine.paint(tasks[:1]) if isinstance(a, Painted)] == [("micro_batch_2",)]
    room[0] = 0
    failed = engine.paint(tasks[:2])
    assert all(isinstance(a, ItemError) and a.code is ErrorCode.OUT_OF_MEMORY for a in failed)
    assert "128x96" in str(failed[0]) and "offload=model" in str(failed[0])
    room[0] = 4
    remembered = engine.paint(tasks[:1])[0]
    assert isinstance(remembered, Painted) and remembered.steps[-1] == "vae_tiling"
    other = engine.paint([task(size=(96, 128))])[0]
    assert isinstance(other, Painted) and other.steps == (), "another size begins at the top"


def overflowing(vae: Any) -> Any:
    """The same autoencoder with activations beyond fp16: what its decoder's norm makes small again."""
    with torch.no_grad():
        for parameter in (vae.decoder.conv_in.weight, vae.decoder.conv_in.bias):
            parameter.mul_(2e5)
    return vae


@pytest.mark.parametrize(("gigabytes", "windows"), [(11.7, 4), (3.8, 1), (0.5, 1), (130, 8)])
def test_a_card_begins_with_as_many_windows_as_its_free_memory_holds(
    gigabytes: float, windows: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the README says of cards of 24, 16 and 141 GB."""
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda _: (int(gigabytes * 1e9), 0))
    assert micro_batch((1024, 1024), 8, torch.device("cuda"), torch.float16) == windows


@pytest.mark.parametrize("how", ["none", "regional", "full"])
def test_only_a_model_compiled_whole_has_its_channels_last(how: Any) -> None:
    unet = prepared(make_unet(9, cross=64, projection=None), EngineConfig(device="cuda", compile=how))
    weights = unet.conv_in.weight
    assert weights.is_contiguous(memory_format=torch.channels_last) == (how == "full")


def test_an_overflowing_vae_is_run_in_fp32(checkpoints: Checkpoints, tmp_path: Path) -> None:
    overflowing(make_vae()).save_pretrained(tmp_path / "vae")
    half = config(replace(checkpoints, vae=tmp_path / "vae"), dtype="float16")
    engine = build(["sdxl"], half)["sdxl"]
    answers = engine.paint([task(0), task(1)])
    assert [a.steps for a in answers if isinstance(a, Painted)] == [("vae_float32",)] * 2
    answers = build(["sdxl"], config(checkpoints, dtype="float16"))["sdxl"].paint([task(0)])
    assert [a.steps for a in answers if isinstance(a, Painted)] == [()], "the right one is not"


def test_a_vae_that_says_it_overflows_is_held_in_fp32(checkpoints: Checkpoints, tmp_path: Path) -> None:
    overflowing(make_vae(force_upcast=True)).save_pretrained(tmp_path / "vae")
    half = config(replace(checkpoints, vae=tmp_path / "vae"), dtype="float16")
    model = load_sdxl(half)
    assert model.vae.dtype == torch.float32
    answer = DiffusionEngine(model, SDXL_SIZES, half).paint([task()])[0]
    assert isinstance(answer, Painted) and answer.steps == ()


def test_output_that_stays_non_finite_is_that_items_failure(checkpoints: Checkpoints, tmp_path: Path) -> None:
    vae = make_vae()
    with torch.no_grad():
        vae.decoder.conv_out.bias.fill_(float("nan"))
    vae.save_pretrained(tmp_path / "vae")
    engine = build(["sdxl"], config(replace(checkpoints, vae=tmp_path / "vae")))["sdxl"]
    answer = engine.paint([task()])[0]
    assert isinstance(answer, ItemError) and answer.code is ErrorCode.NON_FINITE_OUTPUT


def test_a_lost_device_is_no_items_fault(checkpoints: Checkpoints) -> None:
    model = load_sdxl(config(checkpoints))

    def lost(*_: Any) -> None:
        raise torch.AcceleratorError("CUDA error: an illegal memory access was encountered")

    model._base.unet.register_forward_pre_hook(lost)
    with pytest.raises(DeviceLost, match="illegal memory access"):
        DiffusionEngine(model, SDXL_SIZES, config(checkpoints)).paint([task()])

"""Profiles: how many actors serve a cluster."""

from __future__ import annotations

import pytest

from cluster.profiles import GPU, LOCAL, PROFILES


@pytest.mark.parametrize(("cpus", "actors"), [(1, 1), (2, 1), (8, 1), (64, 8)])
def test_the_local_profile_follows_the_cores(cpus: int, actors: int) -> None:
    assert LOCAL.actors(cpus, gpus=4) == actors


@pytest.mark.parametrize(("gpus", "actors"), [(0, 0), (1, 1), (8, 8)])
def test_the_gpu_profile_has_one_actor_a_gpu(gpus: int, actors: int) -> None:
    assert GPU.actors(cpus=64, gpus=gpus) == actors


def test_auto_means_classical_only_without_gpus() -> None:
    assert (LOCAL.auto, GPU.auto) == ("ns", "sdxl")
    assert PROFILES == {"local": LOCAL, "gpu": GPU}

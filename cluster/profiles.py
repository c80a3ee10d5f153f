"""Resources that a run uses on one machine or on a cluster: plain data, no import of another package."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """Resources of one kind of cluster.

    Attributes:
        auto: the engine that `engine=auto` means here.
        device: what the paint actors hold.
        gpus_per_actor: GPUs that one paint actor holds; the pool has one actor for each such share.
        cpus_per_actor: CPUs that Ray reserves for one paint actor.
        cores_per_actor: without GPUs, how many of the cluster's cores one paint actor can serve.
        photos_per_block: photos that travel together; what a lost worker loses.
        batch_size: windows of one engine call, unless `--batch-size` says otherwise.
    """

    name: str
    auto: Literal["ns", "sdxl"]
    device: Literal["cpu", "cuda"]
    gpus_per_actor: float
    cpus_per_actor: float
    cores_per_actor: int
    photos_per_block: int
    batch_size: int

    def actors(self, cpus: float, gpus: float) -> int:
        """How many paint actors serve a cluster of this size; 0 where it has no GPU for one."""
        if self.gpus_per_actor:
            return int(gpus / self.gpus_per_actor)
        return max(1, int(cpus) // self.cores_per_actor)


# The classical engine paints a photo in a tenth of the time that decoding and encoding take, so its
# actors reserve no core: the cores are for prepare and finish, and one actor serves eight of them.
LOCAL = Profile(
    name="local",
    auto="ns",  # 0.1 to 0.6 dB above Telea inside damage up to 9 px, and flat areas stay flat
    device="cpu",
    gpus_per_actor=0,
    cpus_per_actor=0,
    cores_per_actor=8,
    photos_per_block=4,
    batch_size=8,
)

GPU = Profile(
    name="gpu",
    auto="sdxl",
    device="cuda",
    gpus_per_actor=1,
    cpus_per_actor=1,
    cores_per_actor=0,
    photos_per_block=4,
    batch_size=8,
)

PROFILES: Mapping[str, Profile] = MappingProxyType({profile.name: profile for profile in (LOCAL, GPU)})

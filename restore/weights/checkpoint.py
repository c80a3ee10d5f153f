"""What a checkpoint in diffusers' layout must hold for a role, and how its files come onto this node."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterable
from pathlib import Path

import pyarrow as pa
import pyarrow.fs

from restore.errors import EngineError
from restore.methods import CHECKPOINTS, Role
from restore.storage import arrow_filesystem
from restore.storage.uris import redact

_WITHOUT_WEIGHTS = ("scheduler", "tokenizer", "tokenizer_2")
_WEIGHTS = re.compile(r"(model|diffusion_pytorch_model)(?P<half>\.fp16)?(-\d+-of-\d+)?\.safetensors")
_PICKLES = (".bin", ".ckpt", ".pt", ".pth", ".pkl", ".msgpack")
_CHUNK = 8 * 2**20


def needed(role: Role, name: str, files: Iterable[str]) -> tuple[str, ...]:
    """The files that `role` is loaded from: configurations, and safetensors in fp16 where there are such.

    Args:
        name: the model, for messages.
        files: all files of the checkpoint, relative, joined by `/`.

    Raises:
        EngineError: when a part is missing, or holds nothing but pickles.
    """
    there = sorted(files)
    chosen = ["config.json" if role == "vae" else "model_index.json"]
    for part in CHECKPOINTS[role].parts:
        inside = [file for file in there if file.rpartition("/")[0] == part]
        chosen += [file for file in inside if file.endswith((".json", ".txt"))]
        if part not in _WITHOUT_WEIGHTS:
            chosen += _weights(name, part, inside)
        elif not inside:
            raise _lacks(name, f"{part}/", role)
    if chosen[0] not in there:
        raise _lacks(name, chosen[0], role)
    return tuple(sorted(set(chosen)))


def _weights(name: str, part: str, inside: list[str]) -> list[str]:
    """The safetensors of one part: the fp16 variant where there is one."""
    found = {file: match for file in inside if (match := _WEIGHTS.fullmatch(file.rpartition("/")[2]))}
    half = [file for file, match in found.items() if match["half"]]
    if found:
        return half or list(found)
    pickles = [file for file in inside if file.endswith(_PICKLES)]
    if pickles:
        raise EngineError(
            f"{redact(name)} has {pickles[0]} and no safetensors; a pickle can run code when it is "
            "loaded, so none is. Convert it (diffusers: save_pretrained) or name another revision"
        )
    raise _lacks(name, f"{part}/*.safetensors" if part else "diffusion_pytorch_model.safetensors", part)


def _lacks(name: str, what: str, role: str) -> EngineError:
    return EngineError(
        f"{redact(name)} has no {what}, which {role or 'vae'} is loaded from; name a checkpoint in "
        "diffusers' layout (a folder with model_index.json, or config.json for a VAE), not a single file"
    )


def files_in(directory: Path) -> list[str]:
    """All files below a directory, relative, joined by `/`."""
    if not directory.is_dir():
        raise EngineError(f"{directory} is no directory; name a checkpoint in diffusers' layout")
    return [str(p.relative_to(directory)).replace(os.sep, "/") for p in directory.rglob("*") if p.is_file()]


def sha256_file(path: Path) -> str:
    """Hex sha256 of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def copy(role: Role, uri: str, directory: Path) -> None:
    """Copy what `role` needs from below a store URI, each file whole or not at all.

    Raises:
        EngineError: when the store does not let us read it, or it is no checkpoint.
    """
    filesystem, root = arrow_filesystem(uri)
    try:
        selector = pyarrow.fs.FileSelector(root, recursive=True)
        found = [info.path for info in filesystem.get_file_info(selector) if info.is_file]
        files = needed(role, uri, [path.removeprefix(f"{root}/") for path in found])
        for file in files:
            _copy_file(filesystem, f"{root}/{file}", directory / file)
    except (OSError, pa.ArrowException) as error:
        raise EngineError(f"{redact(uri)} cannot be read as model weights: {error}") from None


def _copy_file(filesystem: pyarrow.fs.FileSystem, path: str, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(f".{target.name}.part")
    with filesystem.open_input_stream(path) as source, partial.open("wb") as sink:
        while chunk := source.read(_CHUNK):
            sink.write(chunk)
    partial.replace(target)


def download(role: Role, repo: str, revision: str, directory: Path) -> str:
    """Download what `role` needs of a hub's model, checked against the sha256 that the hub states.

    Returns:
        The commit that the revision stands for.

    Raises:
        EngineError: when the hub cannot be reached or has no such model.
    """
    from httpx2 import HTTPError
    from huggingface_hub import HfApi, hf_hub_download

    name = f"{repo}@{revision}"
    try:
        info = HfApi().model_info(repo, revision=revision, files_metadata=True)
        stated = {file.rfilename: file.lfs.sha256 if file.lfs else None for file in info.siblings}
        for file in needed(role, name, stated):
            hf_hub_download(repo, file, revision=info.sha, local_dir=directory)
            if stated[file] not in (None, sha256_file(directory / file)):
                raise EngineError(f"{name}: {file} did not arrive as the hub has it; fetch it again")
    except (HTTPError, OSError) as error:
        raise EngineError(f"{name} cannot be fetched from the hub: {type(error).__name__}: {error}") from None
    return str(info.sha)

"""A model's name -> a verified directory on this node.

    python -m restore.weights fetch|verify|list [ROLE ...] [--recipe FILE] [--set models.ROLE=NAME ...]

A name is a hub id at a revision (`owner/name@revision`), a local directory, or a store URI. A local
directory is used where it lies. The others are copied once into the cache, `$SILVERPRINT_WEIGHTS` or
`~/.cache/silverprint/weights`: from a store whenever they are wanted, from the hub only by `fetch`, so that
a job never waits for the internet. The sha256 of every file stands in `weights.lock.json` there, and
pictures are keyed by it. Only the files that a role is loaded from are copied, and never a pickle.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock

from restore.errors import EngineError
from restore.identity import canonical, sha256_text
from restore.methods import Role
from restore.recipe import Models
from restore.storage.uris import is_local, local_path
from restore.weights import checkpoint

LOCK_FILE = "weights.lock.json"
_HUB_ID = re.compile(r"(?P<repo>[\w.-]+/[\w.-]+)@(?P<revision>[\w.-]+)")


@dataclass(frozen=True, slots=True)
class Weights:
    """One model's files on this node.

    Attributes:
        name: as the recipe names it.
        revision: the hub's commit; empty for what has none.
        directory: in diffusers' layout, of this node.
        digest: sha256 over the names and sha256 of all files that the role is loaded from.
    """

    role: Role
    name: str
    revision: str
    directory: str
    digest: str

    def row(self) -> dict[str, str]:
        """As the metadata column `models` holds it."""
        name = self.name.partition("@")[0] if self.revision else self.name
        return {"role": self.role, "id": name, "revision": self.revision, "sha256": self.digest}


def cache_directory() -> Path:
    """Where this node keeps models."""
    named = os.environ.get("SILVERPRINT_WEIGHTS")
    return Path(named) if named else Path.home() / ".cache/silverprint/weights"


def ensure(roles: Iterable[Role], models: Models) -> dict[Role, Weights]:
    """The directories of all named roles, verified against the lock file, copied where they must be.

    A role whose name is empty is left out. A file counts as verified when its size and time are those at
    which it was hashed; `verify` reads them all again.

    Raises:
        EngineError: one for all that is missing, with the command that fetches it.
    """
    named = {role: getattr(models, role) for role in roles if getattr(models, role)}
    missing = [(role, name) for role, name in named.items() if _absent(role, name)]
    if missing:
        raise EngineError(_missing(missing))
    return {role: _ensured(role, name) for role, name in named.items()}


def fetch(role: Role, name: str) -> Weights:
    """Copy a model into the cache whether or not it is there, and record it.

    Raises:
        EngineError: when it cannot be had.
    """
    with _locked(name):
        return _fetched(role, name)


def _fetched(role: Role, name: str) -> Weights:
    """Copy, hash, record. The model's lock is held."""
    revision = ""
    if (hub := _hub_id(name)) is not None:
        revision = checkpoint.download(role, hub["repo"], hub["revision"], _directory(name))
    elif not is_local(name):
        checkpoint.copy(role, name, _directory(name))
    return _record(role, name, revision)


def verify(role: Role, name: str) -> list[str]:
    """Read every file again. Names of those that are not as recorded; all is well when there are none."""
    entry = _entry(role, name)
    if entry is None:
        return ["not in the lock file"]
    directory = _directory(name)
    recorded: Mapping[str, Any] = entry["files"]
    return [
        file
        for file, record in recorded.items()
        if not (directory / file).is_file() or checkpoint.sha256_file(directory / file) != record["sha256"]
    ]


def is_present(role: Role, name: str) -> bool:
    """Whether every file that the role is loaded from lies on this node as it was recorded."""
    return not _absent(role, name) and _entry(role, name) is not None


def digest(role: Role, name: str) -> str:
    """sha256 over the recorded files of a model that is present."""
    return _weights(role, name).digest


def _absent(role: Role, name: str) -> bool:
    if is_local(name) and _hub_id(name) is None:
        return not _directory(name).is_dir()
    return _hub_id(name) is not None and not _present(role, name)


def _missing(missing: Sequence[tuple[Role, str]]) -> str:
    lines = []
    for role, name in missing:
        hub = _hub_id(name) is not None
        where = f"{cache_directory()} has no such model" if hub else "no such directory on this node"
        lines.append(f"models.{role}={name}: {where}")
        if not hub and re.fullmatch(r"[\w.-]+/[\w.-]+", name):
            lines.append("  (a hub id needs a revision: owner/name@revision)")
    roles = " ".join(role for role, name in missing if _hub_id(name) is not None)
    settings = "".join(f" --set models.{r}={n}" for r, n in missing if n != getattr(Models(), r))
    way = f"fetch it on every node with: python -m restore.weights fetch {roles}{settings}"
    other = "name a directory or a store URI that every node can read"
    return "\n".join(["model weights are missing", *lines, way if roles else other])


def _ensured(role: Role, name: str) -> Weights:
    if _present(role, name):
        return _weights(role, name)
    with _locked(name):
        if _present(role, name):  # another process of this node was faster
            return _weights(role, name)
        return _fetched(role, name)


def _present(role: Role, name: str) -> bool:
    """Whether every file that the lock file names lies there as it was when it was hashed."""
    entry = _entry(role, name)
    directory = _directory(name)
    return entry is not None and all(
        _stamp(directory / file) == (record["bytes"], record["mtime_ns"])
        for file, record in entry["files"].items()
    )


def _stamp(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_size, found.st_mtime_ns


def _weights(role: Role, name: str) -> Weights:
    entry = _entry(role, name)
    assert entry is not None
    digests = {file: record["sha256"] for file, record in entry["files"].items()}
    return Weights(role, name, entry["revision"], str(_directory(name)), sha256_text(canonical(digests)))


def _record(role: Role, name: str, revision: str) -> Weights:
    """Hash what the role is loaded from, and write it into the lock file. The model's lock is held."""
    directory = _directory(name)
    files = {}
    for file in checkpoint.needed(role, name, checkpoint.files_in(directory)):
        size, mtime = (directory / file).stat().st_size, (directory / file).stat().st_mtime_ns
        sha256 = checkpoint.sha256_file(directory / file)
        files[file] = {"sha256": sha256, "bytes": size, "mtime_ns": mtime}
    with FileLock(cache_directory() / f".{LOCK_FILE}.lock"):
        models = _lock_file()
        models.setdefault(role, {})[_key(name)] = {"revision": revision, "files": files}
        whole = json.dumps({"version": 1, "models": models}, indent=1, sort_keys=True)
        partial = cache_directory() / f".{LOCK_FILE}.{os.getpid()}"
        partial.write_text(whole, encoding="utf-8")
        partial.replace(cache_directory() / LOCK_FILE)
    return _weights(role, name)


def _entry(role: Role, name: str) -> dict[str, Any] | None:
    entry: dict[str, Any] | None = _lock_file().get(role, {}).get(_key(name))
    return entry


def _lock_file() -> dict[str, Any]:
    path = cache_directory() / LOCK_FILE
    try:
        models: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))["models"]
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, KeyError) as error:
        raise EngineError(f"{path} cannot be read ({error}); remove it and fetch the models again") from None
    return models


def _key(name: str) -> str:
    return name if _hub_id(name) or not is_local(name) else str(_directory(name))


def _hub_id(name: str) -> re.Match[str] | None:
    """A directory of that name goes before the hub."""
    found = _HUB_ID.fullmatch(name)
    return None if found is None or Path(name).is_dir() else found


def _directory(name: str) -> Path:
    if _hub_id(name):
        return cache_directory() / "hub" / name.replace("/", "--")
    if is_local(name):
        return Path(local_path(name)).expanduser().resolve()
    return cache_directory() / "store" / f"{name.rstrip('/').rpartition('/')[2]}-{sha256_text(name)[:12]}"


@contextmanager
def _locked(name: str) -> Iterator[None]:
    """One process of this node at a time for one model."""
    folder = cache_directory()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder / f".{sha256_text(_key(name))[:16]}.lock"):
            yield
    except PermissionError as error:
        raise EngineError(
            f"{folder} cannot be written ({error.strerror}); set SILVERPRINT_WEIGHTS to a folder that can"
        ) from None

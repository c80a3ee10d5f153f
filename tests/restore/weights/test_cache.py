"""Weights: from a name to a verified directory, with real files, a real store and a hub over HTTP."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from restore.errors import EngineError
from restore.recipe import Models
from restore.weights import checkpoint
from restore.weights.__main__ import main
from restore.weights.cache import LOCK_FILE, Weights, cache_directory, ensure, verify

ROOT = Path(__file__).resolve().parents[3]
COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SILVERPRINT_WEIGHTS", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A checkpoint as the hub has them: both precisions, single files and pictures beside what is needed."""
    folder = tmp_path / "model"
    for name in (
        "model_index.json",
        "README.md",
        "sd_xl_refiner_1.0.safetensors",
        "scheduler/scheduler_config.json",
        "unet/config.json",
        "unet/diffusion_pytorch_model.safetensors",
        "unet/diffusion_pytorch_model.fp16.safetensors",
        "unet/diffusion_pytorch_model.bin",
        "text_encoder_2/model.safetensors",
    ):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(name)
    return folder


REFINER = (
    "model_index.json",
    "scheduler/scheduler_config.json",
    "unet/config.json",
    "unet/diffusion_pytorch_model.fp16.safetensors",
)


def refiner(name: str | Path) -> Weights:
    return ensure(["refiner"], Models(refiner=str(name)))["refiner"]


def test_only_what_a_role_is_loaded_from_counts(model: Path) -> None:
    assert checkpoint.needed("refiner", "m", checkpoint.files_in(model)) == REFINER
    (model / "unet/diffusion_pytorch_model.fp16.safetensors").unlink()
    chosen = checkpoint.needed("refiner", "m", checkpoint.files_in(model))
    assert "unet/diffusion_pytorch_model.safetensors" in chosen


def test_shards_are_taken_with_their_index() -> None:
    shards = [f"diffusion_pytorch_model-0000{n}-of-00002.safetensors" for n in (1, 2)]
    files = ["config.json", "diffusion_pytorch_model.safetensors.index.json", *shards, "vae.safetensors"]
    assert checkpoint.needed("vae", "m", files) == tuple(sorted(files[:-1]))


def test_a_pickle_is_refused(model: Path) -> None:
    for file in model.glob("unet/*.safetensors"):
        file.unlink()
    with pytest.raises(EngineError, match=r"unet/diffusion_pytorch_model\.bin and no safetensors.*pickle"):
        refiner(model)


def test_a_missing_part_is_named(model: Path) -> None:
    shutil.rmtree(model / "scheduler")
    with pytest.raises(EngineError, match="has no scheduler/"):
        refiner(model)


def test_a_local_directory_is_used_where_it_lies(model: Path, cache: Path) -> None:
    found = refiner(model)
    assert found.directory == str(model) and found.revision == ""
    assert [path.name for path in cache.iterdir() if not path.name.startswith(".")] == [LOCK_FILE]
    assert refiner(model) == found


def test_the_digest_is_that_of_the_content(model: Path, tmp_path: Path) -> None:
    first = refiner(model)
    other = shutil.copytree(model, tmp_path / "elsewhere")
    (other / "README.md").write_text("another")
    (other / "unet/diffusion_pytorch_model.safetensors").write_text("not loaded")
    assert refiner(other).digest == first.digest
    (other / "unet/config.json").write_text("another")
    assert refiner(other).digest != first.digest


def test_verify_reads_the_files_again(model: Path) -> None:
    refiner(model)
    assert verify("refiner", str(model)) == []
    unet = model / REFINER[-1]
    before = unet.stat()
    unet.write_text(unet.read_text().swapcase())
    os.utime(unet, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert verify("refiner", str(model)) == [REFINER[-1]]
    unet.unlink()
    assert verify("refiner", str(model)) == [REFINER[-1]]


def test_one_error_names_all_that_is_missing_and_the_command() -> None:
    with pytest.raises(EngineError) as caught:
        ensure(["inpaint", "refiner", "vae"], Models(refiner="me/mine@v1", vae="/nowhere/vae"))
    message = str(caught.value)
    assert all(name in message for name in (Models().inpaint, "me/mine@v1", "/nowhere/vae"))
    assert str(cache_directory()) in message
    command = "python -m restore.weights fetch inpaint refiner --set models.refiner=me/mine@v1"
    assert command in message


def test_a_hub_id_without_a_revision_is_refused() -> None:
    with pytest.raises(EngineError, match="owner/name@revision"):
        refiner("me/mine")


def test_a_role_without_a_name_is_left_out(model: Path) -> None:
    assert set(ensure(["refiner", "vae"], Models(refiner=str(model), vae=""))) == {"refiner"}


def test_a_store_is_copied_once_however_many_ask(model: Path, s3: Any, cache: Path) -> None:
    bucket = s3.fresh_bucket()
    for file in checkpoint.files_in(model):
        s3.client.upload_file(str(model / file), bucket, f"models/refiner/{file}")
    name = f"s3://{bucket}/models/refiner"
    with ThreadPoolExecutor(4) as pool:
        found = set(pool.map(refiner, [name] * 4))
    assert len(found) == 1
    one = found.pop()
    assert Path(one.directory).is_relative_to(cache)
    assert sorted(checkpoint.files_in(Path(one.directory))) == sorted(REFINER)
    assert one.digest == refiner(model).digest
    s3.client.delete_object(Bucket=bucket, Key="models/refiner/model_index.json")
    assert refiner(name) == one, "what is there is not asked for again"


def test_an_empty_prefix_is_no_checkpoint(s3: Any) -> None:
    with pytest.raises(EngineError, match=r"scheduler|cannot be read"):
        refiner(f"s3://{s3.fresh_bucket()}/nothing")


def serve(model: Path, spoilt: str = "") -> type[BaseHTTPRequestHandler]:
    """As much of a hub as a download needs. The stated sha256 of `spoilt` is another file's."""

    class Hub(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self.answer(body=False)

        def do_GET(self) -> None:
            self.answer(body=True)

        def answer(self, *, body: bool) -> None:
            if "/api/models/" in self.path:
                files = checkpoint.files_in(model)
                siblings = [{"rfilename": f, "size": (model / f).stat().st_size, **lfs(f)} for f in files]
                data = json.dumps({"id": "me/mine", "sha": COMMIT, "siblings": siblings}).encode()
            else:
                data = (model / self.path.partition(f"/resolve/{COMMIT}/")[2]).read_bytes()
            self.send_response(200)
            self.send_header("Content-Length", str(len(data)))
            self.send_header("ETag", f'"{hashlib.sha256(data).hexdigest()}"')
            self.send_header("X-Repo-Commit", COMMIT)
            self.end_headers()
            if body:
                self.wfile.write(data)

        def log_message(self, *_: object) -> None:
            """Quiet."""

    def lfs(file: str) -> dict[str, Any]:
        if not file.endswith(".safetensors"):
            return {}
        digest = "0" * 64 if file == spoilt else checkpoint.sha256_file(model / file)
        return {"lfs": {"sha256": digest, "size": (model / file).stat().st_size, "pointerSize": 1}}

    return Hub


@pytest.fixture
def hub(request: pytest.FixtureRequest, model: Path) -> Iterator[dict[str, str]]:
    """The environment in which a small hub on this machine is the hub."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), serve(model, getattr(request, "param", "")))
    Thread(target=server.serve_forever, daemon=True).start()
    yield {**os.environ, "HF_ENDPOINT": f"http://127.0.0.1:{server.server_port}", "HF_HUB_DISABLE_XET": "1"}
    server.shutdown()


def cli(env: dict[str, str], *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "restore.weights", *words]
    return subprocess.run(command, capture_output=True, text=True, env=env, cwd=ROOT, check=False)


MINE = ("refiner", "--set", "models.refiner=me/mine@main")


def test_the_hub_is_asked_only_by_fetch(hub: dict[str, str], model: Path) -> None:
    listed = cli(hub, "list", *MINE)
    assert listed.returncode == 1 and "missing" in listed.stdout
    fetched = cli(hub, "fetch", *MINE)
    assert fetched.returncode == 0, fetched.stderr
    found = refiner("me/mine@main")  # in this process there is no hub
    assert found.revision == COMMIT and found.digest == refiner(model).digest
    assert found.row() == {"role": "refiner", "id": "me/mine", "revision": COMMIT, "sha256": found.digest}
    files = [f for f in checkpoint.files_in(Path(found.directory)) if not f.startswith(".cache/")]
    assert sorted(files) == sorted(REFINER)
    (Path(found.directory) / "unet/config.json").write_text("cut")
    spoilt = cli(hub, "verify", *MINE)
    assert spoilt.returncode == 1 and "unet/config.json" in spoilt.stdout


@pytest.mark.parametrize("hub", [REFINER[-1]], indirect=True)
def test_a_download_that_is_not_what_the_hub_states_is_refused(hub: dict[str, str]) -> None:
    fetched = cli(hub, "fetch", *MINE)
    assert fetched.returncode == 1 and "did not arrive as the hub has it" in fetched.stderr
    with pytest.raises(EngineError, match="missing"):
        refiner("me/mine@main")


def test_a_hub_that_is_away_is_one_line(tmp_path: Path) -> None:
    env = {**os.environ, "HF_ENDPOINT": "http://127.0.0.1:9"}
    fetched = cli(env, "fetch", *MINE)
    assert fetched.returncode == 1 and "cannot be fetched from the hub" in fetched.stderr
    assert "Traceback" not in fetched.stderr


def test_an_unknown_role_is_refused() -> None:
    assert main(["list", "unet"]) == 1

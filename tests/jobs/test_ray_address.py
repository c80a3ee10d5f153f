"""The Ray cluster of a run: one that the environment names and that answers, else the run's own."""

from __future__ import annotations

import socket
import time
from pathlib import Path

import pytest

from jobs.ray_address import ray_address, require_ray
from jobs.restore_archive import main
from restore.errors import EngineError
from tests.support.servers import free_port


def test_without_an_address_a_run_starts_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    assert ray_address() == "local"
    require_ray()


def test_a_cluster_that_answers_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        monkeypatch.setenv("RAY_ADDRESS", f"127.0.0.1:{server.getsockname()[1]}")
        require_ray()


@pytest.mark.parametrize("form", ["127.0.0.1:{}", "ray://127.0.0.1:{}"])
def test_a_stale_address_is_named_at_once(monkeypatch: pytest.MonkeyPatch, form: str) -> None:
    monkeypatch.setenv("RAY_ADDRESS", form.format(free_port()))
    began = time.monotonic()
    with pytest.raises(EngineError, match=r"no Ray cluster answers at RAY_ADDRESS=.*RAY_ADDRESS=local"):
        require_ray()
    assert time.monotonic() - began < 10


def test_a_stale_address_ends_a_run_before_its_lease(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("RAY_ADDRESS", f"127.0.0.1:{free_port()}")
    manifest = tmp_path / "manifest.csv"
    manifest.write_text("item_id,image,mask\na,a.png,m.png\n")
    assert main(["--manifest", str(manifest), "--output", str(tmp_path / "out/store")]) == 1
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and "no Ray cluster answers" in said
    assert not (tmp_path / "out").exists(), "nothing is written"

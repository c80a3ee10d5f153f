"""Lease: one writer at a time, a dead writer is not a slow one, epochs only grow."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from restore.errors import LeaseHeld
from restore.run import lease as leases
from restore.storage import OutStore


@pytest.fixture
def store(tmp_path: Path) -> OutStore:
    return OutStore.open(str(tmp_path / "out"))


def leave(store: OutStore, holder: leases.LeaseHolder) -> None:
    store.overwrite(f"lease/{holder.epoch:06d}.json", json.dumps(asdict(holder)).encode())


def holder_elsewhere(epoch: int = 1) -> leases.LeaseHolder:
    return leases.LeaseHolder(epoch, "token", "other-host", "other-boot", 1234, "2026-01-01T00:00:00+00:00")


class Clock:
    """Time that passes only when somebody sleeps, so that twenty seconds take none."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 0.0
        monkeypatch.setattr(leases.time, "monotonic", lambda: self.now)

    def sleep(self, seconds: float) -> None:
        self.now += seconds


def test_a_lease_is_taken_and_removed_at_a_clean_end(store: OutStore) -> None:
    with leases.acquire(store) as lease:
        assert lease.epoch == 1
        assert store.names("lease") == ["000001.json"]
        lease.check()
    assert store.names("lease") == []


def test_epochs_grow_though_lease_files_are_removed(store: OutStore) -> None:
    store.create("runs/20260101T000000Z-000007.json", b"{}")
    store.create("metadata/run=20260102T000000Z-000009/part-00000.parquet", b"")
    with leases.acquire(store) as lease:
        assert lease.epoch == 10


def test_a_living_holder_elsewhere_is_named(store: OutStore, monkeypatch: pytest.MonkeyPatch) -> None:
    holder = holder_elsewhere()
    leave(store, holder)
    clock = Clock(monkeypatch)

    def beat(seconds: float) -> None:
        clock.sleep(seconds)
        if clock.now >= leases.BEAT_SECONDS:
            leave(store, replace(holder, beat=1))

    with pytest.raises(LeaseHeld, match="process 1234 on other-host") as caught:
        leases.acquire(store, beat)
    assert caught.value.exit_code == 5
    assert clock.now < leases.TAKEOVER_SECONDS


def test_a_silent_holder_elsewhere_is_given_twenty_seconds(
    store: OutStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    leave(store, holder_elsewhere())
    clock = Clock(monkeypatch)
    with leases.acquire(store, clock.sleep) as lease:
        assert lease.epoch == 2
        assert clock.now >= leases.TAKEOVER_SECONDS
        assert store.names("lease") == ["000002.json"]


def test_a_dead_process_of_this_host_is_replaced_at_once(
    store: OutStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    leave(store, replace(leases._this_process(1), pid=child.pid))
    clock = Clock(monkeypatch)
    with leases.acquire(store, clock.sleep) as lease:
        assert (lease.epoch, clock.now) == (2, 0.0)


def test_a_living_process_of_this_host_keeps_its_lease(store: OutStore) -> None:
    script = (
        "import sys, time; from restore.run import lease; from restore.storage import OutStore\n"
        "lease.BEAT_SECONDS = 0.2\n"
        "kept = lease.acquire(OutStore.open(sys.argv[1])); print('acquired', flush=True); time.sleep(60)"
    )
    other = subprocess.Popen([sys.executable, "-c", script, store.root], stdout=subprocess.PIPE)
    try:
        assert other.stdout is not None and other.stdout.readline() == b"acquired\n"
        with pytest.raises(LeaseHeld, match=f"process {other.pid} on"):
            leases.acquire(store)
    finally:
        other.kill()
        other.wait()
    with leases.acquire(store) as lease:
        assert lease.epoch == 2


def test_a_writer_that_was_replaced_stops(store: OutStore) -> None:
    with leases.acquire(store) as lease:
        leave(store, holder_elsewhere(lease.epoch + 1))
        with pytest.raises(LeaseHeld, match="another writer took"):
            lease.check()


def test_a_writer_whose_successor_has_already_ended_stops(store: OutStore) -> None:
    with leases.acquire(store) as lease:
        store.create(f"runs/20260101T000000Z-{lease.epoch + 1:06d}.json", b"{}")
        with pytest.raises(LeaseHeld):
            lease.check()


def test_the_holder_renews_its_file(store: OutStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leases, "BEAT_SECONDS", 0.05)
    with leases.acquire(store) as lease:
        path = f"lease/{lease.epoch:06d}.json"
        first = store.read(path)
        lease._stop.wait(0.5)
        assert store.read(path) != first


STRANGE = [b"", b"{", b"[1]", b'{"epoch": 1}', b'{"epoch": "x", "token": 3, "later": true}', b"\xff\xfe"]


@pytest.mark.parametrize("data", STRANGE)
def test_a_lease_file_that_says_nothing_is_watched_and_taken_over(
    store: OutStore, monkeypatch: pytest.MonkeyPatch, data: bytes
) -> None:
    store.create("lease/000003.json", data)
    clock = Clock(monkeypatch)
    with leases.acquire(store, clock.sleep) as lease:
        assert lease.epoch == 4 and clock.now >= leases.TAKEOVER_SECONDS
        assert store.names("lease") == ["000004.json"]


def test_an_unknown_holder_that_is_alive_keeps_its_lease(
    store: OutStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.create("lease/000003.json", b"of another kind: 0")
    clock = Clock(monkeypatch)

    def beat(seconds: float) -> None:
        clock.sleep(seconds)
        store.overwrite("lease/000003.json", f"of another kind: {clock.now}".encode())

    with pytest.raises(LeaseHeld, match="an unknown host"):
        leases.acquire(store, beat)


def test_fields_of_a_newer_version_are_ignored(store: OutStore, monkeypatch: pytest.MonkeyPatch) -> None:
    newer = {**asdict(holder_elsewhere()), "region": "eu"}
    store.create("lease/000001.json", json.dumps(newer).encode())
    clock = Clock(monkeypatch)

    def beat(seconds: float) -> None:
        clock.sleep(seconds)
        store.overwrite("lease/000001.json", json.dumps({**newer, "beat": clock.now}).encode())

    with pytest.raises(LeaseHeld, match="process 1234 on other-host"):
        leases.acquire(store, beat)


@pytest.mark.parametrize(
    "name",
    [
        "runs/old-20261126.json",
        "runs/20260101T000000Z-999999.json.bak",
        "runs/copy of 20260101T000000Z-999999.json",
        "plans/x-999999.parquet",
        "metadata/backup-999999/part-00000.parquet",
        "lease/notes-999999.json",
    ],
)
def test_stray_names_set_no_epoch(store: OutStore, name: str) -> None:
    store.create(name, b"{}")
    with leases.acquire(store) as lease:
        assert lease.epoch == 1

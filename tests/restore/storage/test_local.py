"""Local disks: killed writers, files that change, what is no regular file."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from restore.errors import ErrorCode, StorageConfigError
from restore.storage import AccessPolicy, OutStore, fetch, versions
from restore.storage.local import DiskStore
from tests.support.stores import MISSING, code_of


def test_a_killed_writer_leaves_no_name(tmp_path: Path) -> None:
    store = OutStore.open(str(tmp_path))
    code = "import sys; from restore.storage import OutStore; b = bytes(400 << 20); print(flush=True)\n"
    code += "OutStore.open(sys.argv[1]).create('images/a.png', b)"
    child = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE)
    assert child.stdout is not None
    child.stdout.readline()
    while not list(store.list("images")):
        assert child.poll() is None, "the writer ended before it could be killed"
    child.send_signal(signal.SIGKILL)
    child.wait(30)
    assert store.names("images") == []
    leftovers = [entry.path for entry in store.list("images")]
    assert len(leftovers) == 1, "what is left can be found and collected"
    assert store.create("images/a.png", b"again").existing is None
    store.remove(leftovers[0])
    assert store.names("images") == ["a.png"]


def test_a_name_that_is_a_file_and_a_folder_is_the_photos_own_fault(tmp_path: Path) -> None:
    """One item may be named as another one's object: a disk holds the first of them."""
    store = OutStore.open(str(tmp_path))
    store.create("images/a.png", b"a file")
    store.create("images/b.png/c/d.png", b"below a folder")
    for name, other in {
        "images/a.png/b.png": "the file images/a.png is there",
        "images/a.png/b/c.png": "the file images/a.png is there",
        "images/b.png": "the folder images/b.png is there",
        "images/b.png/c": "the folder images/b.png/c is there",
    }.items():
        with code_of(ErrorCode.INVALID_ROW) as raised:
            store.create(name, b"x")
        assert f"no object named {name}: {other}" in str(raised.value)
    assert store.read("images/a.png") == b"a file" and store.read("images/b.png/c/d.png") == b"below a folder"
    assert [entry.path for entry in store.list()] == ["images/a.png", "images/b.png/c/d.png"]


def test_below_a_file_there_is_nothing(tmp_path: Path) -> None:
    store = OutStore.open(str(tmp_path))
    store.create("images/a.png", b"a file")
    with pytest.raises(FileNotFoundError):
        store.read("images/a.png/b.png")
    for name in ("images/a.png/b.png", "images"):
        store.remove(name)
    assert store.names("images/a.png") == [] and store.names("images") == ["a.png"]
    with pytest.raises(StorageConfigError, match="a file is there, where a folder is needed"):
        OutStore.open(str(tmp_path / "images/a.png")).check()


def test_changed_while_it_was_read(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(b"old")

    def meddle(size: int, version: str) -> None:
        path.write_bytes(b"longer than before")

    with code_of(ErrorCode.CHANGED_DURING_RUN):
        DiskStore().get(str(path), meddle)


def test_what_is_no_regular_file_is_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "socket"))
        for path in (tmp_path, tmp_path / "fifo", tmp_path / "socket", Path("/dev/zero")):
            with code_of(ErrorCode.STORAGE_DENIED):
                fetch(str(path), version=None, missing=MISSING)
            assert versions([str(path)]) == {str(path): None}


def test_a_link_that_is_swapped_after_its_check_leads_nowhere_else(tmp_path: Path) -> None:
    inside, secret = tmp_path / "in", tmp_path / "secret"
    inside.mkdir()
    secret.mkdir()
    for folder in (inside, secret):
        (folder / "a.png").write_bytes(folder.name.encode())
    (inside / "link").symlink_to(inside)
    uri, policy = f"{inside}/link/a.png", AccessPolicy(roots=(str(inside.resolve()),))
    policy.check(uri)
    assert fetch(uri, version=None, missing=MISSING, access=policy).data == b"in"
    (inside / "link").unlink()
    (inside / "link").symlink_to(secret)
    with code_of(ErrorCode.STORAGE_DENIED) as raised:
        fetch(uri, version=None, missing=MISSING, access=policy)
    assert raised.value.own and "outside the allowed folders" in str(raised.value)

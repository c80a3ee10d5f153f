"""A local disk as a store: versioned reads, atomic creates. No retries here and no access rules."""

from __future__ import annotations

import errno
import os
import stat
import uuid
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from restore.errors import ErrorCode, ItemError, StorageConfigError
from restore.storage.base import (
    NOWHERE,
    BeforeRead,
    Entry,
    Fetched,
    LeftOut,
    Reason,
    require_same,
)
from restore.storage.integrity import require_kept

TEMPORARY = ".silverprint-"
"""What the name of a file that is still being written starts with."""


_NO_LINKS = frozenset({errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS})


class DiskStore:
    """Objects are regular files, named by absolute path; symlinks are followed.

    Args:
        check_opened: called with the real path of each file that is open for reading, so that a link swapped
            after its check leads nowhere else. Raises to refuse the file.
    """

    def __init__(self, check_opened: Callable[[str], None] | None = None) -> None:
        self._check_opened = check_opened

    def get(self, path: str, check_before_read: BeforeRead) -> Fetched:
        """Read one file; the version is taken on the open descriptor before and after."""
        _require_regular(path, Path(path).stat())  # before opening: opening a device can have effects
        # O_NONBLOCK: should a fifo take the file's place right now, opening must not wait for a writer.
        with os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
            status = os.fstat(file.fileno())
            _require_regular(path, status)
            if self._check_opened is not None:
                self._check_opened(_opened_path(path, file.fileno(), status))
            before = _token(status)
            check_before_read(status.st_size, before)
            data = file.read(status.st_size + 1)
            after = _token(os.fstat(file.fileno()))
        require_same(path, before, after)
        require_same(path, f"of {status.st_size} bytes", f"of {len(data)} bytes")
        return Fetched(data, before)

    def version(self, path: str) -> str | None:
        """The version of one file; None where there is no regular file."""
        try:
            status = Path(path).stat()
        except OSError as error:
            if error.errno not in NOWHERE:
                raise
            return None
        return _token(status) if stat.S_ISREG(status.st_mode) else None

    def create(self, path: str, data: bytes) -> None:
        """Write a file whole or not at all.

        A hard link to a finished file is the one way of POSIX to name it atomically without replacing.

        Raises:
            FileExistsError: when the name is taken by a file.
            IsADirectoryError, NotADirectoryError: when it is taken by a folder, or a file stands where a
                folder is needed; `filename` is that folder or file.
            StorageConfigError: when the file system has no hard links.
        """
        temporary = _write_beside(path, data)
        try:
            os.link(temporary, path)
        except OSError as error:
            if isinstance(error, FileExistsError) and Path(path).is_dir():
                raise IsADirectoryError(errno.EISDIR, "a folder has this name", path) from error
            if error.errno in _NO_LINKS:
                raise StorageConfigError(
                    f"{path}: this file system lacks hard links, which atomic creates need; choose another"
                ) from error
            raise
        finally:
            temporary.unlink()
        _sync_folder(temporary.parent)

    def replace(self, path: str, data: bytes) -> None:
        """Write a file, replacing the one of that name at once."""
        temporary = _write_beside(path, data)
        temporary.replace(path)
        _sync_folder(temporary.parent)

    def remove(self, path: str) -> None:
        """Remove one file; a missing one is fine."""
        with suppress(NotADirectoryError, IsADirectoryError):  # then no file has this name either
            Path(path).unlink(missing_ok=True)

    def walk(self, folder: str) -> Iterator[Entry]:
        """All regular files below `folder`, also what killed writers left behind."""
        for place, _, names in os.walk(folder, onerror=_passed_over):
            for name in names:
                path = Path(place, name)
                if entry := _entry(path, str(path.relative_to(folder))):
                    yield entry

    def photographs(self, folder: str, pass_over: Callable[[str], bool]) -> Iterator[Entry | LeftOut]:
        """All regular files below `folder` that may be somebody's photographs, and what was left out.

        Links to folders are left out wherever they lead: by them files would come twice or without end.

        Args:
            pass_over: whether a file or folder of this name is left out, and all below it.
        """
        real = Path(os.path.realpath(folder))
        for place, folders, names in os.walk(folder, onerror=partial(_unlisted, folder)):
            unwanted = {name for name in (*folders, *names) if pass_over(name)}
            linked = {name for name in folders if name not in unwanted and Path(place, name).is_symlink()}
            folders[:] = [name for name in folders if name not in unwanted and name not in linked]
            yield from (LeftOut(_below(folder, place, name), Reason.PASSED_OVER) for name in unwanted)
            yield from (LeftOut(_below(folder, place, name), Reason.LINK) for name in linked)
            for name in names:
                if name not in unwanted and (found := _photograph(Path(place, name), folder, real)):
                    yield found

    def children(self, folder: str) -> set[str]:
        """Names of files and folders in `folder`, without those still being written."""
        try:
            names = {entry.name for entry in Path(folder).iterdir()}
        except (FileNotFoundError, NotADirectoryError):
            return set()
        return {name for name in names if not name.startswith(TEMPORARY)}


def _entry(path: Path, relative: str) -> Entry | None:
    """What a listing says of one file; None if it is no regular file, or missing since it was listed."""
    try:
        status = path.stat()
    except OSError as error:
        if error.errno not in NOWHERE:
            raise
        return None
    if not stat.S_ISREG(status.st_mode):
        return None
    return Entry(relative, status.st_size, _token(status), datetime.fromtimestamp(status.st_mtime, UTC))


def _photograph(path: Path, folder: str, real: Path) -> Entry | LeftOut | None:
    """What a listing of `folder`, really at `real`, says of one file; None if it is no regular file."""
    relative, link = _below(folder, str(path)), path.is_symlink()
    leads_out = link and not Path(os.path.realpath(path)).is_relative_to(real)
    entry = None if leads_out else _entry(path, relative)
    if entry is None:
        return LeftOut(relative, Reason.LINK) if link else None
    return entry if _is_utf8(path) else LeftOut(relative, Reason.NOT_UTF8)


def _opened_path(path: str, descriptor: int, status: os.stat_result) -> str:
    """The real path of an open file, by the kernel; without `/proc`, by its links once more."""
    link = Path(f"/proc/self/fd/{descriptor}")
    if link.is_symlink():
        return str(link.readlink())
    real = Path(os.path.realpath(path))
    if not os.path.samestat(real.lstat(), status):
        require_same(path, "of one file", "of another file")
    return str(real)


def _below(folder: str, *names: str) -> str:
    """A path relative to `folder`, as text; bytes that are not UTF-8 as `\\xff`, for people to read."""
    return os.fsencode(Path(*names).relative_to(folder)).decode(errors="backslashreplace")


def _is_utf8(path: Path) -> bool:
    try:
        str(path).encode()
    except UnicodeEncodeError:  # Python holds other bytes as half surrogate pairs
        return False
    return True


def _unlisted(root: str, error: OSError) -> None:
    """For `os.walk`, which would pass over a folder that it may not read; a missing one has no files."""
    if error.errno not in NOWHERE or error.filename == root:
        raise error


def _passed_over(error: OSError) -> None:
    """For `os.walk`, which would take a folder that the disk cannot give for an empty one."""
    if error.errno not in NOWHERE:
        raise error


def _token(status: os.stat_result) -> str:
    return f"{status.st_size}-{status.st_mtime_ns}"


def _require_regular(path: str, status: os.stat_result) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise ItemError(
            ErrorCode.STORAGE_DENIED, f"{path} is not a regular file; point at an image file", own=True
        )


def _write_beside(path: str, data: bytes) -> Path:
    folder = Path(path).parent
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError) as error:
        taken = next((place for place in (folder, *folder.parents) if place.is_file()), folder)
        raise NotADirectoryError(errno.ENOTDIR, "a folder is needed here", str(taken)) from error
    temporary = folder / f"{TEMPORARY}{uuid.uuid4().hex}"
    try:
        with temporary.open("xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
            require_kept(path, data, size=os.fstat(file.fileno()).st_size)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    return temporary


def _sync_folder(folder: Path) -> None:
    """Make the name itself survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

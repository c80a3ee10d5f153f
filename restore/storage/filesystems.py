"""The object store behind a URI, connected once per process. The only user of fsspec.

Endpoints and credentials come from the environment, so that no name or pickle holds them.
"""

from __future__ import annotations

import logging
import os
import time
from functools import lru_cache
from importlib import import_module
from pathlib import Path
from queue import Empty, Queue
from threading import Thread
from typing import Any

import fsspec
import pyarrow.fs

from restore.errors import StorageConfigError
from restore.storage.base import AZURE, HTTP, KINDS, S3, Store
from restore.storage.local import DiskStore
from restore.storage.object_store import ObjectStore
from restore.storage.retry import describe, http_status, is_transient
from restore.storage.uris import Location

CONNECT_SECONDS, READ_SECONDS = 5, 30
ANSWER_SECONDS = 10
"""Longest wait for a first answer of a store."""
BOTOCORE_ATTEMPTS = 6
"""For what pyarrow reads by itself; `restore.storage.retry` alone retries the other calls."""


def object_store(location: Location) -> tuple[ObjectStore, str]:
    """The object store that `location` lies in, and its path `bucket/key` there.

    Raises:
        StorageConfigError: when the scheme's library is not installed or cannot connect.
    """
    assert location.kind is not None, f"{location.redacted} is not let pass by the access policy"
    fs, path = filesystem(location, botocore_attempts=1)
    module, _, name = location.kind.store.partition(":")
    store: ObjectStore = getattr(import_module(module), name)(fs)
    return store, path


def require_answer(uri: str) -> None:
    """Ask a remote store whether anybody is there, before a run counts on it.

    The calls of a run wait minutes for a store that is away for a while; an endpoint that is wrong from the
    start must not cost that time. Any answer will do, a refusal too: the run's own calls say what it means.

    Raises:
        StorageConfigError: when no answer comes within `ANSWER_SECONDS`.
    """
    location = Location.of(uri)
    if location.is_local or location.kind in (None, HTTP):
        return
    said: Queue[str] = Queue()
    # A thread, since some libraries have no limit of their own. It ends with the process.
    Thread(target=lambda: said.put(_silence(location)), name="answer", daemon=True).start()
    try:
        silence = said.get(timeout=ANSWER_SECONDS)
    except Empty:
        silence = "no answer"
    if silence:
        raise StorageConfigError(
            f"{location.redacted}: nobody answers there ({silence}, within {ANSWER_SECONDS:g} s); check the "
            "endpoint that the environment names, the bucket's name and the network"
        )


def _silence(location: Location) -> str:
    """Why nobody could be reached, after tries for a while; empty when somebody answered, whatever it was."""
    deadline = time.monotonic() + ANSWER_SECONDS - 2
    while True:
        try:
            store, path = object_store(location)
            store.version(f"{path.rstrip('/')}/.anybody")  # there need be no such object
        except Exception as error:  # noqa: BLE001 - only silence counts here
            if not is_transient(error) or http_status(error) is not None:
                return ""
            if time.monotonic() > deadline:
                return describe(error)
            time.sleep(1)
        else:
            return ""


def filesystem(location: Location, botocore_attempts: int = BOTOCORE_ATTEMPTS) -> tuple[Any, str]:
    """The fsspec file system that `location` lies in, and its path there.

    There is one per process, since its event loop survives no fork.
    """
    azure = location.kind is AZURE
    host, path = _azure_place(location.path) if azure else ("", location.path)
    return _filesystem(location.scheme, host, botocore_attempts, os.getpid()), path


@lru_cache
def _filesystem(scheme: str, host: str, botocore_attempts: int, pid: int) -> Any:
    options: dict[str, Any] = {"use_listings_cache": False, "skip_instance_cache": True}
    kind = KINDS[scheme]
    if kind is S3:
        _check_endpoint()
        _retry_alike()
        options["config_kwargs"] = {
            "connect_timeout": CONNECT_SECONDS,
            "read_timeout": READ_SECONDS,
            "max_pool_connections": 64,
            "retries": {"mode": "standard", "total_max_attempts": botocore_attempts},
        }
    if host:
        options |= {"account_name": host.partition(".")[0], "account_host": host}
    _quieten()
    try:
        fs = fsspec.filesystem(scheme, **options)
    except ImportError as error:
        raise StorageConfigError(
            f"{scheme}:// needs a library: pip install 'silverprint[{kind.extra}]'"
        ) from error
    except ValueError:
        if kind is not AZURE:
            raise
        # Without its text, which may hold the connection string.
        raise StorageConfigError(
            f"{scheme}:// has no account to connect to; set AZURE_STORAGE_CONNECTION_STRING or "
            "AZURE_STORAGE_ACCOUNT_NAME"
        ) from None
    if host and fs.service_client.account_name != options["account_name"]:
        raise StorageConfigError(
            f"{scheme}://…@{host} is another account than the one that AZURE_STORAGE_CONNECTION_STRING "
            "names; unset it, or leave the account out of the URI"
        )
    return fs


def _retry_alike() -> None:
    """What pyarrow reads through s3fs is tried again for the same errors as our own calls are."""
    import s3fs.core

    s3fs.core.set_custom_error_handler(is_transient)


def _check_endpoint() -> None:
    """botocore would raise a ValueError, in the midst of the first call."""
    for name in ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"):
        if not os.environ.get(name, "https://").startswith(("http://", "https://")):
            raise StorageConfigError(f"{name} is not a URL; give it as https://host or http://host:port")


def _azure_place(path: str) -> tuple[str, str]:
    """`container@account.dfs.core.windows.net/key` -> the account's blob host, `container/key`."""
    authority, slash, key = path.partition("/")
    container, _, host = authority.partition("@")
    return host.replace(".dfs.", ".blob.", 1), f"{container}{slash}{key}"


def _quieten() -> None:
    """Keep the libraries from logging what is raised anyway, and gcsfs from asking each bucket's layout."""
    os.environ.setdefault("GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT", "false")
    for name in ("gcsfs", "azure"):
        logging.getLogger(name).setLevel(logging.CRITICAL)


def arrow_filesystem(uri: str) -> tuple[pyarrow.fs.FileSystem, str]:
    """A pyarrow file system and the path of `uri` in it. It pickles without credentials."""
    location = Location.of(uri)
    if location.is_local:
        return pyarrow.fs.LocalFileSystem(), os.path.normpath(Path(location.path).absolute())
    fs, path = filesystem(location)
    return pyarrow.fs.PyFileSystem(pyarrow.fs.FSSpecHandler(fs)), path.rstrip("/")


def store_at(location: Location) -> tuple[Store, str]:
    """The store that `location` lies in, and its path there, for reading and writing."""
    return (DiskStore(), location.path) if location.is_local else object_store(location)

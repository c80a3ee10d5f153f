"""The object store behind a URI, connected once per process. The only user of fsspec.

Endpoints and credentials come from the environment, so that no name or pickle holds them.
"""

from __future__ import annotations

import logging
import os
from functools import lru_cache
from pathlib import Path
from typing import Any

import fsspec
import pyarrow.fs

from restore.errors import StorageConfigError
from restore.storage.base import Store
from restore.storage.local import DiskStore
from restore.storage.object_store import ObjectStore
from restore.storage.retry import is_transient
from restore.storage.s3 import S3Store
from restore.storage.uris import AZURE_SCHEMES, GCS_SCHEMES, S3_SCHEMES, is_local, local_path, scheme_of

CREATE_CONDITIONALLY = S3_SCHEMES | GCS_SCHEMES | AZURE_SCHEMES
"""Schemes of stores that can refuse to overwrite."""

CONNECT_SECONDS, READ_SECONDS = 5, 30
BOTOCORE_ATTEMPTS = 6
"""For what pyarrow reads by itself; `restore.storage.retry` alone retries the other calls."""


def object_store(uri: str) -> tuple[ObjectStore, str]:
    """The store of `uri` and the path `bucket/key` in it.

    Raises:
        StorageConfigError: when the scheme's library is not installed or cannot connect.
    """
    fs, path = filesystem(uri, botocore_attempts=1)
    if scheme_of(uri) in S3_SCHEMES:
        fs.retries = 1
        return S3Store(fs), path
    if scheme_of(uri) in GCS_SCHEMES:
        from restore.storage.gcs import GcsStore

        return GcsStore(fs), path
    from restore.storage.azure import AzureStore

    return AzureStore(fs), path


def filesystem(uri: str, botocore_attempts: int = BOTOCORE_ATTEMPTS) -> tuple[Any, str]:
    """The fsspec file system of `uri` and the path in it.

    There is one per process, since its event loop survives no fork.
    """
    scheme, path = scheme_of(uri), uri.partition("://")[2]
    host, path = _azure_place(path) if scheme in AZURE_SCHEMES else ("", path)
    return _filesystem(scheme, host, botocore_attempts, os.getpid()), path


@lru_cache
def _filesystem(scheme: str, host: str, botocore_attempts: int, pid: int) -> Any:
    options: dict[str, Any] = {"use_listings_cache": False, "skip_instance_cache": True}
    if scheme in S3_SCHEMES:
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
        extra = "gcs" if scheme in GCS_SCHEMES else "azure"
        raise StorageConfigError(
            f"{scheme}:// needs a library: pip install 'silverprint[{extra}]'"
        ) from error
    except ValueError:
        if scheme not in AZURE_SCHEMES:
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
    if is_local(uri):
        return pyarrow.fs.LocalFileSystem(), os.path.normpath(Path(local_path(uri)).absolute())
    fs, path = filesystem(uri)
    return pyarrow.fs.PyFileSystem(pyarrow.fs.FSSpecHandler(fs)), path.rstrip("/")


def _writer(uri: str) -> tuple[Store, str]:
    return (DiskStore(), local_path(uri)) if is_local(uri) else object_store(uri)

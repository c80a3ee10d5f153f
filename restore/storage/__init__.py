"""Bytes in and out of any store.

Inputs come through `fetch` and `versions`; outputs go through an `OutStore`. `access` says which URIs may
be read, `retry` what is tried again; each kind of store has a module of its own.
"""

from restore.storage.access import AccessPolicy
from restore.storage.base import Entry, Fetched, LeftOut, Reason
from restore.storage.filesystems import arrow_filesystem, require_answer
from restore.storage.inputs import fetch, open_input, photographs, versions
from restore.storage.outputs import Created, OutStore
from restore.storage.s3 import Upload
from restore.storage.uris import is_local, local_path, resolve

__all__ = [
    "AccessPolicy",
    "Created",
    "Entry",
    "Fetched",
    "LeftOut",
    "OutStore",
    "Reason",
    "Upload",
    "arrow_filesystem",
    "fetch",
    "is_local",
    "local_path",
    "open_input",
    "photographs",
    "require_answer",
    "resolve",
    "versions",
]

"""What can go wrong, in two kinds that never mix.

    SilverprintError
    ├── ItemError            one photo is bad: it becomes a `failed` row with a typed code
    └── SystemicError        the world is bad: the job stops, with an exit code
        ├── UsageError         2   a bad command line or recipe
        ├── ManifestError      2   a manifest that cannot be trusted, every fault listed
        ├── EngineError        1   no GPU, no weights, an engine that cannot be built
        │   └── DeviceLost     1   a GPU that this process can no longer use
        ├── StorageConfigError 1   no bucket, no right to it, a store that cannot serve
        │   └── StoreVanished  1   a store that lacks what this run wrote there
        ├── BudgetSpent        4   too many photos failed
        └── LeaseHeld          5   another writer holds this store

A bad photo is data and a bad world is an exception. Any other exception is a fault of this program: only
`restore.pipeline.flow` catches it, as `worker_crashed` of that one photo, with its traceback in the log.
"""

from __future__ import annotations

from enum import StrEnum
from typing import ClassVar


class ErrorCode(StrEnum):
    """Why a photo failed; the values of the metadata column `error_code`."""

    IMAGE_NOT_FOUND = "image_not_found"
    IMAGE_UNREADABLE = "image_unreadable"
    IMAGE_TOO_LARGE = "image_too_large"
    UNSUPPORTED_FORMAT = "unsupported_format"
    MASK_NOT_FOUND = "mask_not_found"
    MASK_UNREADABLE = "mask_unreadable"
    MASK_SIZE_MISMATCH = "mask_size_mismatch"
    MASK_FULL = "mask_full"
    MASK_TOO_LARGE = "mask_too_large"
    STORAGE_DENIED = "storage_denied"
    STORAGE_UNAVAILABLE = "storage_unavailable"
    CHANGED_DURING_RUN = "changed_during_run"
    INVALID_ROW = "invalid_row"
    OUT_OF_MEMORY = "out_of_memory"
    NON_FINITE_OUTPUT = "non_finite_output"
    TIMED_OUT = "timed_out"
    WORKER_CRASHED = "worker_crashed"
    VERIFY_FAILED = "verify_failed"


FIT_MASKS = "the setting fit_masks"
"""What a `mask_size_mismatch` says that this setting mends: the mask has the photo's shape. No other does."""


class SilverprintError(Exception):
    """Base of every error that this package raises on purpose."""


class ItemError(SilverprintError):
    """One photo cannot be restored. Carries the code and message of its `failed` row.

    Attributes:
        own: whether the failure is this photo's alone although others with its code can mean an outage: the
            access policy refuses it, or its object lies in an archive tier.
    """

    def __init__(self, code: ErrorCode, message: str, own: bool = False) -> None:
        super().__init__(code, message, own)  # all, so that the error survives pickling
        self.code = code
        self.message = message
        self.own = own

    def __str__(self) -> str:
        return f"{self.code}: {self.message}"


class SystemicError(SilverprintError):
    """The run cannot go on. `exit_code` is that of the job.

    Attributes:
        message: what happened and the way out. It is kept apart from `args`, because Ray Data appends
            advice of its own to those.
    """

    exit_code: ClassVar[int] = 1

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message

    def __str__(self) -> str:
        return self.message


class UsageError(SystemicError):
    """A command line or a recipe that is not valid."""

    exit_code = 2


class ManifestError(SystemicError):
    """A manifest with faults; the message lists them all with their row numbers."""

    exit_code = 2


class EngineError(SystemicError):
    """The engine that was asked for cannot be built here."""


class DeviceLost(EngineError):
    """An error of the accelerator that its context does not survive; a new process can go on."""


class StorageConfigError(SystemicError):
    """The store does not exist, refuses access or cannot do what the job needs."""


class StoreVanished(StorageConfigError):
    """The store lacks what this run wrote there: it was unmounted, emptied or replaced."""


class BudgetSpent(SystemicError):
    """More photos failed than the setting max_failed allows."""

    exit_code = 4


class LeaseHeld(SystemicError):
    """Another writer holds the store, or has taken it over."""

    exit_code = 5

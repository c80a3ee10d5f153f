"""Errors: the tree, the exit codes, and that they cross processes."""

from __future__ import annotations

import pickle

import pytest

from restore import errors


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        (errors.UsageError, 2),
        (errors.ManifestError, 2),
        (errors.EngineError, 1),
        (errors.StorageConfigError, 1),
        (errors.BudgetSpent, 4),
        (errors.LeaseHeld, 5),
    ],
)
def test_exit_codes(kind: type[errors.SystemicError], code: int) -> None:
    assert kind("x").exit_code == code
    assert kind.__name__ in str(errors.__doc__)


def test_an_item_error_survives_pickling() -> None:
    error = pickle.loads(pickle.dumps(errors.ItemError(errors.ErrorCode.MASK_FULL, "no pixel left")))
    assert (error.code, error.message) == (errors.ErrorCode.MASK_FULL, "no pixel left")
    assert str(error) == "mask_full: no pixel left"


def test_the_codes_are_these() -> None:
    assert [str(code) for code in errors.ErrorCode] == [
        *("image_not_found", "image_unreadable", "image_too_large", "unsupported_format"),
        *("mask_not_found", "mask_unreadable", "mask_size_mismatch", "mask_full", "mask_too_large"),
        *("storage_denied", "storage_unavailable", "changed_during_run", "invalid_row", "out_of_memory"),
        *("non_finite_output", "timed_out", "worker_crashed", "verify_failed"),
    ]


def test_a_bad_photo_is_not_a_bad_world() -> None:
    assert not issubclass(errors.ItemError, errors.SystemicError)

"""Which storage errors pass with time, waiting for that, and words for all of them."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from typing import TypeVar

import aiohttp
from botocore import exceptions as boto  # type: ignore[import-untyped]
from botocore.parsers import ResponseParserError  # type: ignore[import-untyped]
from tenacity import (
    RetryError,
    Retrying,
    retry_if_exception,
    stop_after_attempt,
    stop_after_delay,
    wait_exponential,
    wait_random,
)

from restore.errors import ErrorCode, ItemError, SilverprintError, StorageConfigError
from restore.storage.uris import redact

ATTEMPTS = 15
MAX_SECONDS = 100.0
FIRST_WAIT, LONGEST_WAIT, JITTER = 0.2, 10.0, 1.0
"""Seconds. 15 attempts wait 0.2, 0.4, 0.8, ... 10: longer than a minute in which a store is quite away."""

PATIENCE, SLOWEST = 30.0, 100_000
"""Seconds, and bytes a second: a body that comes more slowly is given up, however steadily it drips."""

FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS})

T = TypeVar("T")


class Answered(OSError):
    """An answer of a store that no other OSError stands for; `code` is the store's own word."""

    def __init__(self, path: str, status: int, code: str = "") -> None:
        super().__init__(None, f"HTTP {status} {code}".rstrip(), path)
        self.status, self.code = status, code


class Refused(Answered, PermissionError):
    """A store's answer that we may not."""


class Damaged(OSError):
    """Bytes other than those that the store announced. The same call may bring the right ones."""


class Broken(OSError):
    """A server whose answers make no sense or do not end; asking again at once is no use."""


class Unforeseen(OSError):
    """An error of a store's library that no rule here knows."""

    def __init__(self, error: Exception) -> None:
        super().__init__(None, type(error).__name__)


# Credentials that the machine's role or session renews by itself, if not at once.
_EXPIRED = frozenset({"ExpiredToken", "ExpiredTokenException", "RequestExpired", "TokenRefreshRequired"})
_BUSY = frozenset({408, 409, 425, 429})  # 409: another conditional write to the same name is under way
# The bytes of a request were cut or changed on their way; the store has kept nothing.
_SPOILT = frozenset(
    {"BadDigest", "XAmzContentSHA256Mismatch", "IncompleteBody", "RequestTimeout", "Md5Mismatch"}
)
ARCHIVED = frozenset({"InvalidObjectState", "BlobArchived", "BlobBeingRehydrated"})
"""Words of S3 and Azure for an object in an archive tier, from where it has to be restored by its owner."""
_DEAD_MOUNT = {
    errno.ENOTCONN,
    errno.EHOSTDOWN,
    errno.ENODEV,
    errno.ENXIO,
    errno.ESTALE,
    errno.EIO,
    errno.EREMOTEIO,
}
_NO_NETWORK = {errno.ENETDOWN, errno.ENETUNREACH, errno.ENETRESET, errno.EHOSTUNREACH, errno.ETIMEDOUT}
_SHORT_OF = {errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS, errno.ENOLCK, errno.EAGAIN, errno.EBUSY}
_ERRNO = frozenset(_DEAD_MOUNT | _NO_NETWORK | _SHORT_OF)
_BAD_NAME = frozenset({errno.ENAMETOOLONG, errno.ENOTDIR, errno.EISDIR, errno.EILSEQ})
_TOO_LARGE = frozenset({errno.EFBIG, errno.EMSGSIZE})
_PASSING = (
    TimeoutError,
    ConnectionError,
    Damaged,
    aiohttp.ClientConnectionError,
    aiohttp.ClientPayloadError,
    boto.HTTPClientError,
    boto.ConnectionError,
    boto.IncompleteReadError,
    boto.ChecksumError,
    boto.FlexibleChecksumError,
    ResponseParserError,  # a gateway's HTML error page instead of XML
)
_NO_CREDENTIALS = (
    boto.NoCredentialsError,
    boto.PartialCredentialsError,
    boto.CredentialRetrievalError,
    boto.TokenRetrievalError,
)


def retrying(uri: str, call: Callable[[], T], attempts: int = ATTEMPTS) -> T:
    """What `call` returns, tried again with growing waits while its errors are transient.

    Raises:
        OSError: any other error of the store; `Unforeseen` for what its library raises and no rule knows.
        ItemError: `storage_unavailable` when it still fails after `attempts` or `MAX_SECONDS`.
        StorageConfigError: when there are no credentials to call with, or they stay expired.
    """
    retry = Retrying(
        stop=stop_after_attempt(attempts) | stop_after_delay(MAX_SECONDS),
        wait=wait_exponential(FIRST_WAIT, LONGEST_WAIT) + wait_random(0, JITTER),
        retry=retry_if_exception(is_transient),
    )
    try:
        return retry(call)
    except RetryError as error:
        last = error.last_attempt
        reason = describe(last.exception())
        if reason in _EXPIRED:
            raise StorageConfigError(
                f"{redact(uri)}: the credentials are no longer valid ({reason}); renew them and run again"
            ) from last.exception()
        raise ItemError(
            ErrorCode.STORAGE_UNAVAILABLE,
            f"{redact(uri)}: {reason}, {last.attempt_number} times; run again when the store answers",
        ) from last.exception()
    except _NO_CREDENTIALS as error:
        raise StorageConfigError(
            f"{redact(uri)}: no usable credentials ({type(error).__name__}); set AWS_ACCESS_KEY_ID and "
            "AWS_SECRET_ACCESS_KEY, or a profile, or give the machines a role"
        ) from error
    except (SilverprintError, OSError):
        raise
    except Exception as error:
        raise Unforeseen(error) from error


def patience(size: int) -> float:
    """Return the seconds that a body of this many bytes may take."""
    return PATIENCE + size / SLOWEST


def is_transient(error: BaseException) -> bool:
    """Whether the same call may well succeed later."""
    if isinstance(error, _PASSING):
        return not isinstance(error, ValueError)  # aiohttp.InvalidURL
    status = http_status(error)
    if status is not None:
        busy = status >= 500 or (status in _BUSY and describe(error) not in ARCHIVED)
        return busy or describe(error) in _EXPIRED | _SPOILT
    return isinstance(error, OSError) and error.errno in _ERRNO


def answered(path: str, status: int, code: str = "") -> OSError:
    """The error for an HTTP status other than success."""
    if status == 404:
        return FileNotFoundError(errno.ENOENT, "the store says there is nothing", path)
    return Refused(path, status, code) if status in {401, 403} else Answered(path, status, code)


def http_status(error: BaseException | None) -> int | None:
    """The HTTP status behind an error of s3fs, of aiohttp or `Answered`; None where there is none."""
    response = _response(error)
    status = (
        response.get("ResponseMetadata", {}).get("HTTPStatusCode")
        if response
        else getattr(error, "status", None)
    )
    return status if isinstance(status, int) else None


def describe(error: BaseException | None) -> str:
    """The store's own word for an error, without the text around it, which may hold hosts and paths."""
    response = _response(error)
    if response and response.get("Error", {}).get("Code"):
        return str(response["Error"]["Code"])
    if isinstance(error, Answered) and error.code:
        return error.code
    status = http_status(error)
    return f"HTTP {status}" if status else _words(error)


def _words(error: BaseException | None) -> str:
    if isinstance(error, (Broken, Damaged, Unforeseen)):
        return str(error.strerror)
    if type(error) is OSError and error.errno:
        return os.strerror(error.errno).lower()
    return type(error).__name__


def refuses_name(error: OSError) -> bool:
    """Whether the store can hold no object of this name, such as one that is too long."""
    return error.errno in _BAD_NAME or describe(error) == "KeyTooLongError"


def refuses_size(error: OSError) -> bool:
    """Whether the store can hold no object of this size."""
    too_large = {"EntityTooLarge", "RequestBodyTooLarge", "MaxMessageLengthExceeded"}
    return error.errno in _TOO_LARGE or http_status(error) == 413 or describe(error) in too_large


def cannot_serve(error: OSError) -> str:
    """Why a store is of no use as an output, and the way out."""
    if error.errno in FULL:
        return f"{os.strerror(error.errno or 0).lower()}; make room or choose another output"
    if isinstance(error, PermissionError):
        return (
            f"access denied ({describe(error)}); check the credentials and grant list, read, write and delete"
        )
    if isinstance(error, FileExistsError | NotADirectoryError):
        return "a file is there, where a folder is needed; choose another output"
    if isinstance(error, FileNotFoundError):
        return "there is no such bucket or folder; create it or correct its name"
    return f"cannot be used ({describe(error)}); choose another output"


def _response(error: BaseException | None) -> dict[str, dict[str, object]] | None:
    for candidate in (error, getattr(error, "__cause__", None)):
        response = getattr(candidate, "response", None)
        if isinstance(response, dict):
            return response
    return None

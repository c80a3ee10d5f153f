"""URIs: their scheme, their host, and their printable form."""

from __future__ import annotations

import os
import re

from restore.errors import ErrorCode, ItemError

S3_SCHEMES = frozenset({"s3", "s3a"})


GCS_SCHEMES = frozenset({"gs", "gcs"})


AZURE_SCHEMES = frozenset({"abfs", "abfss", "az"})


OBJECT_SCHEMES = S3_SCHEMES | GCS_SCHEMES | AZURE_SCHEMES


HTTP_SCHEMES = frozenset({"http", "https"})


_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")


SIGNED_QUERY = (
    r"[?&](x-amz-[a-z-]*|x-goog-[a-z-]*|awsaccesskeyid|signature|sig|auth|authorization|password|secret"
    r"|token|access_token|api_?key)="
)
"""What stands before a secret in a URL's query, whatever the case."""


_SIGNED = re.compile(SIGNED_QUERY, re.IGNORECASE)


def scheme_of(uri: str) -> str:
    """The scheme in lower case; `file` for a plain path."""
    match = _SCHEME.match(uri)
    return match[1].lower() if match else "file"


def is_local(uri: str) -> bool:
    """Whether `uri` names something on this machine's own file system."""
    return scheme_of(uri) == "file"


def local_path(uri: str) -> str:
    """The path of a local URI; nothing is unquoted, since `%` may be part of a name."""
    return uri[len("file://") :] if _SCHEME.match(uri) else uri


def _has_credentials(uri: str, scheme: str) -> bool:
    user, at, _ = _authority(uri).rpartition("@")
    if scheme in HTTP_SCHEMES:
        return bool(at) or bool(_SIGNED.search(uri))
    # abfs://container@account/... is how Azure spells a place; only a password makes it a secret.
    return ":" in user if scheme in AZURE_SCHEMES else bool(at)


def _authority(uri: str) -> str:
    return re.split(r"[/?#]", uri.partition("://")[2], maxsplit=1)[0]


def redact(uri: str) -> str:
    """`uri` for messages and rows: without credentials, and still refused for having had them."""
    if "::" in uri:
        return "::".join(redact(part) for part in uri.split("::"))
    scheme = scheme_of(uri)
    if scheme == "file" or not _has_credentials(uri, scheme):
        return uri
    user, at, host = _authority(uri).rpartition("@")
    if at:
        return f"{scheme}://{'…:…' if ':' in user else '…'}@{host}/…"
    return f"{scheme}://{host}/…?signature=…"


def resolve(uri: str, base: str) -> str:
    """`uri` made absolute against the folder that holds `base`.

    Nothing is quoted or unquoted: keys may hold spaces, `%`, `+` and any letters. Local results are
    absolute plain paths.

    Args:
        base: URI or path of the manifest.

    Raises:
        ItemError: `invalid_row` when `uri` is empty or climbs above its bucket.
    """
    if not uri:
        raise ItemError(ErrorCode.INVALID_ROW, "an empty URI; give a path or leave the column null")
    if _SCHEME.match(uri):
        path = local_path(uri) if is_local(uri) else ""
        return os.path.normpath(path) if path.startswith("/") else uri
    if uri.startswith("/"):
        return os.path.normpath(uri)
    if is_local(base):
        # Not Path.parent, which would take the folder of a base that ends in a slash for a file.
        return os.path.abspath(os.path.join(os.path.dirname(local_path(base)), uri))  # noqa: PTH100, PTH118, PTH120
    return _resolve_key(uri, base)


def _resolve_key(uri: str, base: str) -> str:
    scheme, _, rest = base.partition("://")
    if scheme.lower() in HTTP_SCHEMES:
        rest = re.split(r"[?#]", rest, maxsplit=1)[0]
    place, *folders = rest.split("/")[:-1] or [rest]
    for segment in uri.split("/"):
        if segment == ".." and not folders:
            raise ItemError(ErrorCode.INVALID_ROW, f"{uri}: climbs above {scheme}://{place}; name it in full")
        if segment == "..":
            folders.pop()
        elif segment != ".":
            folders.append(segment)
    return f"{scheme}://{'/'.join([place, *folders])}"

"""Which URIs may be read: schemes, local roots, no credentials in names, no metadata services."""

from __future__ import annotations

import ipaddress
import os
import re
import socket
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from restore.errors import ErrorCode, ItemError
from restore.storage.base import AZURE, HTTP
from restore.storage.uris import Location

# Azure's own hosts and those of its national clouds. The job's token goes to the host that a URI names.
_AZURE_HOST = re.compile(
    r"[a-z0-9]{3,24}\.(z[0-9]{2}\.)?(dfs|blob)\."
    r"(core\.(windows\.net|usgovcloudapi\.net|chinacloudapi\.cn)|storage\.azure\.net)",
    re.IGNORECASE,
)
# Services that hand credentials to any caller inside a cloud and are not link-local.
_METADATA = frozenset(
    ipaddress.ip_address(text)
    for text in ("fd00:ec2::254", "100.100.100.200", "192.0.0.192", "168.63.129.16")
)
_NAT64 = ipaddress.ip_network("64:ff9b::/96")


@dataclass(frozen=True, slots=True)
class AccessPolicy:
    """What a manifest's rows may point at.

    Attributes:
        roots: absolute local folders, symlinks resolved; local inputs must lie below one of them.
        allow_http: whether http and https are allowed besides the object stores.
    """

    roots: tuple[str, ...]
    allow_http: bool = False

    def check(self, uri: str) -> None:
        """Pass, or say why `uri` may not be read. `uri` is absolute, as `resolve` gives it.

        Raises:
            ItemError: `storage_denied`.
        """
        location = Location.of(uri)
        reason = _forbidden(location) or self._reason(location)
        if reason:
            raise ItemError(ErrorCode.STORAGE_DENIED, f"{location.redacted}: {reason}", own=True)

    def _reason(self, location: Location) -> str | None:
        if location.is_local:
            return self._outside(location.path)
        if location.kind is HTTP:
            return (
                _http_reason(location.uri)
                if self.allow_http
                else "http is not allowed; the setting allow_http allows it"
            )
        return None

    def _outside(self, path: str) -> str | None:
        real = Path(os.path.realpath(path))
        if any(real.is_relative_to(root) for root in self.roots):
            return None
        return "lies outside the allowed folders after following symlinks; allow it by the setting allow_root"


def forbidden_reason(uri: str) -> str | None:
    """Why no setting can allow `uri`, or None."""
    return _forbidden(Location.of(uri))


def _forbidden(location: Location) -> str | None:
    if "::" in location.uri:
        return "chained URIs are not allowed; point at the object itself"
    if "\0" in location.uri:
        return "contains a NUL character"
    if location.is_local:
        absolute = location.path.startswith("/")
        return None if absolute else "is not an absolute local path (file:///folder/name)"
    if location.kind is None:
        return f"scheme {location.scheme} is not allowed; use a local path, s3, gs or abfs"
    if location.has_credentials:
        return "credentials in a URI are not allowed; give them by the environment or a role"
    return _strange_host(location) if location.kind is AZURE else None


def _strange_host(location: Location) -> str | None:
    _, at, host = location.authority.rpartition("@")
    if not at or _AZURE_HOST.fullmatch(host):
        return None
    return "names a host that is not Azure's; give account.dfs.core.windows.net"


def is_metadata_address(address: str) -> bool:
    """Whether an IP address is link-local or a cloud's metadata service, also by a gateway to IPv4."""
    ip = _translated(address)
    return ip.is_link_local or ip in _METADATA


def is_loopback_address(address: str) -> bool:
    """Whether an IP address leads to this machine itself, also by a gateway to IPv4."""
    ip = _translated(address)
    return ip.is_loopback or ip.is_unspecified


def _translated(address: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    """An IP address without its zone; the IPv4 address where it stands for one."""
    ip = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(ip, ipaddress.IPv4Address):
        return ip
    gateway = ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF) if ip in _NAT64 else None
    return gateway or ip.ipv4_mapped or ip.sixtofour or ip


def _http_reason(uri: str) -> str | None:
    try:
        parts = urlsplit(uri)
        if not parts.hostname:
            return "names no host"
        found = socket.getaddrinfo(parts.hostname, parts.port, proto=socket.IPPROTO_TCP)
    except ValueError:  # a bad port, brackets that do not match, a label that is too long
        return "is not a valid URL"
    except OSError:
        return None  # a name that does not resolve is for the fetch to report, and to retry
    if any(is_metadata_address(str(entry[4][0])) for entry in found):
        return "link-local and metadata addresses are not allowed"
    return None

"""Which Ray cluster a run uses: the one that RAY_ADDRESS names, else a local one of its own.

A run never follows /tmp/ray/ray_current_cluster: that file may name a head that died without `ray stop`, or
somebody else's cluster, and a run then waited for minutes under its lease.
"""

from __future__ import annotations

import os
import re
import socket

from restore.errors import EngineError

PROBE_SECONDS = 5.0
LOCAL = "local"

_HOST_AND_PORT = re.compile(r"(?:ray://)?(?P<host>[^:/]+|\[[^]]+\]):(?P<port>\d+)")


def ray_address() -> str:
    """The address to connect to; `local` starts a cluster on this machine."""
    return os.environ.get("RAY_ADDRESS") or LOCAL


def require_ray() -> None:
    """Before the lease: does the named cluster answer?

    Raises:
        EngineError: naming the address and the way out.
    """
    found = _HOST_AND_PORT.fullmatch(ray_address())
    if found is None:
        return
    try:
        socket.create_connection((found["host"].strip("[]"), int(found["port"])), PROBE_SECONDS).close()
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise EngineError(
            f"no Ray cluster answers at RAY_ADDRESS={ray_address()} ({reason}); "
            "start it, correct the address, or set RAY_ADDRESS=local to use this machine alone"
        ) from None

"""Telling someone how a night went: a webhook, or a command."""

from __future__ import annotations

import json
import logging
import shlex
import subprocess
import urllib.request
from collections.abc import Mapping
from typing import Any

log = logging.getLogger(__name__)

PATIENCE_SECONDS = 60


def notify(target: str, summary: Mapping[str, Any]) -> None:
    """POST the summary as JSON to an http(s) URL, or run a command with it on its standard input.

    A target that cannot be told is a warning: the night's work does not hang on it.
    """
    body = json.dumps(summary, sort_keys=True, ensure_ascii=False).encode()
    try:
        if target.startswith(("http://", "https://")):
            _post(target, body)
        else:
            subprocess.run(shlex.split(target), input=body, check=True, timeout=PATIENCE_SECONDS)
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        # Neither the URL nor the command line: both may hold a secret.
        log.warning("--notify did not work (%s); the run record has the same", type(error).__name__)


def _post(url: str, body: bytes) -> None:
    headers = {"Content-Type": "application/json", "User-Agent": "silverprint"}
    request = urllib.request.Request(url, body, headers)
    with urllib.request.urlopen(request, timeout=PATIENCE_SECONDS):
        pass

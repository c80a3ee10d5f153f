"""The summary of a night, sent to a webhook or piped to a command."""

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

SHELL_WORDS = frozenset({"|", ">", ">>", "<", "&&", "||", ";", "&", "2>&1"})
"""Words of a command line that only a shell understands."""


def notify(target: str, summary: Mapping[str, Any]) -> None:
    """POST the summary as JSON to an http(s) URL, or run a command with it on its standard input.

    No shell reads the command: `sh -c '...'` is the way to pipes and redirections. A target that fails is a
    warning, since the night's work does not depend on it.
    """
    body = json.dumps(summary, sort_keys=True, ensure_ascii=False).encode()
    try:
        if target.startswith(("http://", "https://")):
            _post(target, body)
        else:
            _run(shlex.split(target), body)
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        # Neither the URL nor the command line: both may hold a secret.
        log.warning("--notify did not work (%s); the run record has the same", type(error).__name__)


def _run(words: list[str], body: bytes) -> None:
    if SHELL_WORDS.intersection(words):
        log.warning("--notify is run without a shell; write sh -c '...' to use pipes or redirections")
    subprocess.run(words, input=body, check=True, timeout=PATIENCE_SECONDS)


def _post(url: str, body: bytes) -> None:
    headers = {"Content-Type": "application/json", "User-Agent": "silverprint"}
    request = urllib.request.Request(url, body, headers)
    with urllib.request.urlopen(request, timeout=PATIENCE_SECONDS):
        pass

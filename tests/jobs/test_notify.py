"""Notify: a webhook hears of the night, a command gets it on its standard input."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import pytest

from jobs.notify import notify
from tests.support.servers import free_port

SUMMARY = {"verdict": "complete", "exit_code": 0, "removed": {"count": 1, "first": ["größe"]}}


class Webhook(HTTPServer):
    def __init__(self, status: int) -> None:
        super().__init__(("127.0.0.1", 0), Hears)
        self.status = status
        self.heard: list[tuple[str | None, bytes]] = []


class Hears(BaseHTTPRequestHandler):
    server: Webhook

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.heard.append((self.headers["Content-Type"], body))
        self.send_response(self.server.status)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(params=[200])
def webhook(request: pytest.FixtureRequest) -> Iterator[Webhook]:
    server = Webhook(request.param)
    thread = Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_webhook_gets_the_summary_as_json(webhook: Webhook) -> None:
    notify(f"http://127.0.0.1:{webhook.server_port}/hook?token=t", SUMMARY)
    [(kind, body)] = webhook.heard
    assert kind == "application/json" and json.loads(body) == SUMMARY


def test_a_command_gets_it_on_its_standard_input(tmp_path: Path) -> None:
    script, notified = tmp_path / "tell me.py", tmp_path / "notified.json"
    script.write_text("import pathlib, sys; pathlib.Path(sys.argv[1]).write_bytes(sys.stdin.buffer.read())")
    notify(f"{sys.executable} '{script}' {notified}", SUMMARY)
    assert json.loads(notified.read_text()) == SUMMARY


@pytest.mark.parametrize("webhook", [500], indirect=True)
def test_a_webhook_that_refuses_is_a_warning_without_its_secret(
    webhook: Webhook, caplog: pytest.LogCaptureFixture
) -> None:
    notify(f"http://127.0.0.1:{webhook.server_port}/hook?token=secret-7", SUMMARY)
    assert "--notify" in caplog.text and "HTTPError" in caplog.text and "secret-7" not in caplog.text


@pytest.mark.parametrize("target", ["no-such-command-here", "false", "'unclosed", "http://127.0.0.1:{port}/"])
def test_an_unreachable_target_does_not_stop_the_night(target: str, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        notify(target.format(port=free_port()), SUMMARY)
    assert "--notify did not work" in caplog.text


def test_a_command_for_a_shell_is_warned_about(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    notify(f"cat > {tmp_path}/file", SUMMARY)
    assert "without a shell" in caplog.text and "sh -c" in caplog.text
    notify(f"sh -c 'cat > {tmp_path}/file'", SUMMARY)
    assert json.loads((tmp_path / "file").read_text()) == SUMMARY

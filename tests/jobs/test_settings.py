"""Settings: the command line is derived from them, and frozen here."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from jobs import nightly, restore_archive
from jobs.settings import Cards, NightlySettings, RestoreSettings, cards, deadline, local_zone
from restore.cli import parse
from restore.errors import UsageError
from restore.recipe import Recipe

OPTIONS = {
    "--manifest",
    "--output",
    "--recipe",
    "--set",
    "--profile",
    "--limit",
    "--batch-size",
    "--retry-failed",
    "--dry-run",
    "--gpu",
    "--max-failed",
    "--copy-unmasked",
    "--fit-masks",
    "--allow-root",
    "--allow-http",
    "--max-megapixels",
    "--photo-timeout",
    "--node-memory",
    "--log",
}


def parsed(*argv: str) -> RestoreSettings:
    return parse(RestoreSettings, "job", "A job.", ["--manifest", "m", "--output", "o", *argv])


def test_the_options_are_these(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parse(RestoreSettings, "job", "A job.", ["--help"])
    words = re.split(r"[\s,:\[\]]+", capsys.readouterr().out)
    assert {word for word in words if word.startswith("--")} == OPTIONS | {"--help", "--version"}


@pytest.mark.parametrize("job", [restore_archive.main, nightly.main])
def test_the_help_names_every_recipe_field(
    job: Callable[[list[str]], int], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        job(["--help"])
    said = capsys.readouterr().out
    assert all(f"  {name}=" in said for name in Recipe.model_fields)


def test_defaults() -> None:
    assert parsed() == RestoreSettings(manifest="m", output="o")


def test_every_option_reaches_its_setting() -> None:
    settings = parsed(
        *("--set", "feather=8", "quality=90", "--set", "seed=3", "--allow-root", "/a", "/b", "--limit", "5"),
        *("--batch-size", "2", "--max-failed", "0.5", "--max-megapixels", "100", "--profile", "gpu"),
        *("--retry-failed", "--dry-run", "--copy-unmasked", "--allow-http", "--recipe", "r.toml"),
        *("--log", "json", "--photo-timeout", "90", "--node-memory", "6.5"),
    )
    assert settings.set == ("feather=8", "quality=90", "seed=3")
    assert settings.allow_root == ("/a", "/b")
    assert (settings.limit, settings.batch_size, settings.max_failed) == (5, 2, 0.5)
    assert settings.retry_failed and settings.dry_run and settings.copy_unmasked and settings.allow_http
    assert (settings.recipe, settings.profile, settings.max_megapixels) == ("r.toml", "gpu", 100.0)
    assert (settings.log, settings.photo_timeout, settings.node_memory) == ("json", 90.0, 6.5)


@pytest.mark.parametrize(
    "argv",
    [
        ["--lim", "5"],
        ["--limit", "x"],
        ["--profile", "moon"],
        ["--log", "xml"],
        ["--unknown"],
        ["--max-failed", "lots"],
        ["word"],
        ["--set"],
    ],
)
def test_a_bad_command_line_ends_with_2_and_one_line(
    argv: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        parsed(*argv)
    assert caught.value.code == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and argv[0] in said, said


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (["--limit", "-1"], "--limit -1"),
        (["--batch-size", "0"], "--batch-size 0"),
        (["--max-failed", "2"], "--max-failed 2"),
        (["--max-megapixels", "0"], "--max-megapixels 0"),
        (["--photo-timeout", "0"], "--photo-timeout 0"),
        (["--node-memory", "0"], "--node-memory 0"),
        (["--dry-run", "--gpu", "H300"], "--gpu H300: known are B200, H200, H100, A100, L40S, L4"),
        (["--dry-run", "--gpu", "0xL4"], "--gpu 0xL4: known are"),
        (["--gpu", "L4"], "--gpu L4: must be given with --dry-run"),
    ],
)
def test_what_is_out_of_range_is_named(argv: list[str], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        parsed(*argv)


NIGHTLY = (OPTIONS - {"--manifest", "--limit"}) | {
    "--images",
    "--masks",
    "--mask-pattern",
    "--sidecar",
    "--until",
    "--max-hours",
    "--max-photos",
    "--prune",
    "--grace",
    "--notify",
}


def test_the_nightly_options_are_these(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parse(NightlySettings, "job", "A job.", ["--help"])
    words = re.split(r"[\s,:\[\]]+", capsys.readouterr().out)
    assert {word for word in words if word.startswith("--")} == NIGHTLY | {"--help", "--version"}


EVENING = datetime(2026, 3, 28, 22, 30, tzinfo=timezone(timedelta(hours=1)))


@pytest.mark.parametrize(
    ("given", "hours"),
    [
        ({}, None),
        ({"max_hours": 2.5}, 2.5),
        ({"until": "06:00"}, 7.5),
        ({"until": "23:00"}, 0.5),
        ({"until": "22:30"}, 24),
        ({"until": "06:00", "max_hours": 8}, 7.5),
        ({"until": "06:00", "max_hours": 7}, 7),
    ],
)
def test_a_night_ends_at_the_earlier_of_time_of_day_and_hours(
    given: dict[str, Any], hours: float | None
) -> None:
    ends = deadline(NightlySettings(images="i", output="o", **given), EVENING)
    assert ends == (None if hours is None else EVENING.timestamp() + 3600 * hours)


@pytest.mark.parametrize(
    ("evening", "until", "hours"),
    [
        ("2026-03-28T22:30", "06:00", 6.5),  # the clock goes from 2 to 3
        ("2026-10-24T22:30", "06:00", 8.5),  # the clock goes from 3 to 2
        ("2026-03-28T22:30", "02:30", 4.0),  # there is no such time: it is read with the former offset
        ("2026-10-24T22:30", "02:30", 4.0),  # there are two: the first
        ("2026-10-25T02:40+02:00", "02:30", 50 / 60),  # the second of the two is still to come
        ("2026-10-25T02:40+01:00", "02:50", 10 / 60),
        ("2026-10-25T02:40+01:00", "02:30", 23 + 50 / 60),
        ("2026-06-01T22:30", "06:00", 7.5),
    ],
)
def test_a_night_of_the_clock_change_ends_by_the_clock(evening: str, until: str, hours: float) -> None:
    berlin, start = ZoneInfo("Europe/Berlin"), datetime.fromisoformat(evening)
    now = start.astimezone(berlin) if start.tzinfo else start.replace(tzinfo=berlin)
    ends = deadline(NightlySettings(images="i", output="o", until=until), now)
    assert ends == pytest.approx(now.timestamp() + 3600 * hours, abs=1e-3)


def test_the_zone_of_this_machine_knows_its_clock_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Europe/Berlin")
    zone = local_zone()
    offsets = {datetime(2026, month, 1, tzinfo=zone).utcoffset() for month in (1, 7)}
    assert offsets == {timedelta(hours=1), timedelta(hours=2)}
    monkeypatch.setenv("TZ", "nowhere/at all")
    assert datetime.now(local_zone()).utcoffset() is not None


def test_gpus_are_given_by_name_and_number() -> None:
    assert cards("L40S") == Cards(1, "L40S") and cards("16xL4") == Cards(16, "L4")


@pytest.mark.parametrize(
    "given",
    [
        {"until": "6"},
        {"until": "24:00"},
        {"max_hours": 0},
        {"max_photos": -1},
        {"grace": -1},
        {"gpu": "H300"},
        {"batch_size": 0},
        {"max_failed": 7},
        {"max_megapixels": 0},
        {"photo_timeout": -1},
        {"node_memory": 0},
    ],
)
def test_a_night_that_cannot_be_is_named(given: dict[str, Any]) -> None:
    (name, value) = next(iter(given.items()))
    with pytest.raises(UsageError, match=f"--{name.replace('_', '-')} {value}"):
        NightlySettings(images="i", output="o", **given)

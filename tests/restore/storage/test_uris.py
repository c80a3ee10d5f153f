"""Locations: relative URIs, and URIs that name nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from restore.errors import ErrorCode
from restore.storage import resolve
from tests.support.stores import code_of


@pytest.mark.parametrize(
    ("uri", "base", "expected"),
    [
        ("scans/a b.png", "/data/manifest.csv", "/data/scans/a b.png"),
        ("./a%20b.png", "file:///data/x/m.csv", "/data/x/a%20b.png"),
        ("../a.png", "/data/x/m.csv", "/data/a.png"),
        ("/abs/../a.png", "s3://bucket/m.csv", "/a.png"),
        ("file:///abs/a.png", "s3://bucket/m.csv", "/abs/a.png"),
        ("a+b%/ü#?.png", "s3://bucket/m.csv", "s3://bucket/a+b%/ü#?.png"),
        ("./x/../a.png", "s3://bucket/deep/er/m.csv", "s3://bucket/deep/er/a.png"),
        ("../../a.png", "s3://bucket/deep/er/m.csv", "s3://bucket/a.png"),
        ("x//a.png", "gs://bucket/m.csv", "gs://bucket/x//a.png"),
        ("s3://other/../a", "s3://bucket/m.csv", "s3://other/../a"),
        ("a.png", "https://host/x/m.csv?b=/c/d", "https://host/x/a.png"),
        ("a:b.png", "/data/m.csv", "/data/a:b.png"),
    ],
)
def test_relative_uris_are_joined_without_url_rules(uri: str, base: str, expected: str) -> None:
    assert resolve(uri, base) == expected


@pytest.mark.parametrize(("uri", "base"), [("", "/m.csv"), ("../a", "s3://bucket/m.csv")])
def test_uris_that_name_nothing(uri: str, base: str) -> None:
    with code_of(ErrorCode.INVALID_ROW):
        resolve(uri, base)


def test_a_manifest_named_without_a_folder_lies_here(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    assert resolve("a.png", "manifest.csv") == str(tmp_path / "a.png")


def test_a_base_that_ends_in_a_slash_is_the_folder_itself() -> None:
    assert resolve("demo/m.csv", "/srv/here/") == "/srv/here/demo/m.csv"
    assert resolve("m.csv", "/x.csv") == "/m.csv"

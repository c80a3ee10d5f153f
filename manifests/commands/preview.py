"""`manifests preview`: the masks of a manifest's first rows over their photos, before a night is spent."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass
from html import escape
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import Annotated, Any

from manifests.commands.manifest import DIFFERS
from manifests.reading.schema import input_policy, read_manifest
from restore.cli import argument, option, options
from restore.errors import UsageError
from restore.item import Item
from restore.photo.preview import Preview, preview
from restore.photo.state import Job
from restore.recipe import read_recipe
from restore.storage import OutStore


@dataclass(frozen=True, slots=True)
class PreviewSettings:
    """Settings of `manifests preview`."""

    manifest: Annotated[str, argument("a manifest: Parquet, CSV or JSON Lines")]
    _: KW_ONLY
    out: Annotated[str, option("the page to write or to replace, in any store", "FILE.html")]
    rows: Annotated[int, option("how many rows to show, from the first on", "N")] = 24
    recipe: Annotated[str | None, option("recipe in TOML that the rows override", "FILE")] = None
    set: Annotated[tuple[str, ...], options("override a recipe setting", "NAME=VALUE")] = ()
    fit_masks: Annotated[bool, option("enlarge or reduce masks of their photo's shape")] = False
    allow_root: Annotated[tuple[str, ...], options("folder that local inputs may lie in", "DIR")] = ()
    allow_http: Annotated[bool, option("read inputs from http(s) too")] = False

    def __post_init__(self) -> None:
        """Raises UsageError for a page that no browser would open, or no rows."""
        if not self.out.lower().endswith((".html", ".htm")):
            raise UsageError(f"out={self.out}: the page is HTML; name it .html")
        if self.rows < 1:
            raise UsageError(f"rows={self.rows}: must be at least 1")


def show_masks(settings: PreviewSettings) -> int:
    """A page of the first rows: each photo, its damage in red, how much is marked, and what would fail."""
    manifest = read_manifest(settings.manifest)
    job = Job(
        run_id="",
        recipe=read_recipe(settings.recipe, settings.set),
        auto="ns",  # nothing is painted
        engine_hashes={},
        store=OutStore.open("."),
        access=input_policy(settings.manifest, settings.allow_root, settings.allow_http),
        software_version="",
        copy_unmasked=True,
        fit_masks=settings.fit_masks,
    )
    rows = manifest.table.slice(0, settings.rows).to_pylist()
    previews = [preview(_item(row), job) for row in rows]
    folder, _, name = settings.out.rpartition("/")
    page = preview_page(Path(settings.manifest).name, previews)
    OutStore.open(folder or ("/" if settings.out.startswith("/") else ".")).overwrite(name, page.encode())
    failing = [one for one in previews if one.error_code is not None]
    for one in failing:
        print(f"{one.item_id}: {one.error_code}: {one.error_message}")
    print(f"{settings.out}: {len(previews)} photos, {len(failing)} of them would fail")
    return DIFFERS if failing else 0


_COLUMNS = ("item_id", "image", "image_version", "mask", "mask_version", "overrides")


def _item(row: dict[str, Any]) -> Item:
    return Item(**{name: row[name] for name in _COLUMNS}, work_key="")


def preview_page(title: str, previews: Sequence[Preview]) -> str:
    """One HTML file that holds its own pictures. Photos that would fail come first, then by coverage."""
    order = sorted(previews, key=lambda one: (one.error_code is None, -(one.coverage or 0), one.item_id))
    failing = sum(one.error_code is not None for one in previews)
    template = Template(files(__package__).joinpath("preview.html").read_text())
    return template.substitute(
        title=escape(title),
        summary=f"{len(previews)} photos, {failing} of them would fail.",
        cards="\n".join(map(_card, order)),
    )


def _card(one: Preview) -> str:
    return (
        f'<li><div class="photo">{_pictures(one)}</div>'
        f'<div class="text"><strong>{escape(one.item_id)}</strong>{_facts(one)}</div></li>'
    )


def _pictures(one: Preview) -> str:
    shown = [("jpeg", one.before, f"photo {one.item_id}"), ("png", one.damage, "its damage")]
    return (
        "".join(
            f'<img alt="{escape(text)}" src="data:image/{kind};base64,{b64encode(data).decode()}">'
            for kind, data, text in shown
            if data is not None
        )
        or '<span class="quiet">no picture</span>'
    )


def _facts(one: Preview) -> str:
    marked = [] if one.coverage is None else [f"{one.coverage:.1%} marked"]
    size = [] if one.width is None else [f"{one.width} x {one.height} px"]
    error = "" if one.error_code is None else f"{one.error_code}: {one.error_message}"
    facts = f'<div class="quiet">{", ".join([*marked, *size])}</div>'
    return facts + (f'<div class="bad">{escape(error)}</div>' if error else "")

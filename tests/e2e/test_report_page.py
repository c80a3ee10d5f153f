"""The report page in a browser, as a person uses it: from a file, a web server and a bucket."""

from __future__ import annotations

import time
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import quote

import pyarrow.compute as pc
import pyarrow.dataset as ds
import pytest
from playwright.sync_api import Browser, Page, expect

from restore.outcome import Figures
from restore.report.writer import write_archive_report
from restore.storage import OutStore
from tests.support.browser import browser as running_browser
from tests.support.runs import NEXT_RUN, STARTED, failure, outcome, pictured, reported

HACK = "<img src=x onerror=\"window.hacked='id'\">"
STRANGE = f"{HACK}/é 100%25 #1 & ?"
SCRIPT = "</script><script>window.hacked='message'</script>"


@pytest.fixture(scope="module")
def chrome() -> Iterator[Browser]:
    with running_browser() as running:
        yield running


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An output with a report of 30 restored photos, a copied one and 3 failures."""
    folder = tmp_path_factory.mktemp("report") / "out"
    store = OutStore.open(str(folder))
    recipe = '{"prompt":"<svg onload=window.hacked=1>"}'
    rows = [pictured(outcome(n), n) for n in range(1, 30)]
    rows += [pictured(outcome(40, item_id=STRANGE, recipe=recipe, overrides=recipe), 40)]
    rows += [
        outcome(
            41,
            status="copied",
            figures=Figures(),
            suspicion=None,
            windows=(),
            engine=None,
            extra={"x_title": HACK},
        )
    ]
    rows += [
        failure(50),
        failure(51, "mask_full", SCRIPT),
        failure(52, "mask_full", "no known pixel is left"),
    ]
    reported(store, rows, message=HACK, manifest=f"/archive/{HACK}.csv")
    store.create(outcome(29).output or "", b"the restored picture")
    return folder


@pytest.fixture(scope="module")
def address(out: Path) -> str:
    return next(out.glob("reports/*/index.html")).as_uri()


@pytest.fixture
def page(chrome: Browser) -> Iterator[Page]:
    """A page that fails its test when it logs an error or asks for anything that is not there."""
    with chrome.new_context(viewport={"width": 1400, "height": 900}, reduced_motion="reduce") as context:
        page = context.new_page()
        faults: list[str] = []
        page.on("console", lambda message: faults.append(message.text))
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.on("requestfailed", lambda request: faults.append(request.url))
        page.on("response", lambda got: got.status < 400 or faults.append(f"{got.status} {got.url}"))
        yield page
        assert not faults
        assert page.evaluate("window.hacked") is None


@pytest.fixture(scope="module")
def served(out: Path) -> Iterator[str]:
    """The output behind a web server of its own."""

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, format: str, *args: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(out))) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def cards(page: Page) -> list[str]:
    return page.locator(".card .id").all_inner_texts()


def test_it_opens_from_a_file_and_draws_all_there_is(page: Page, address: str) -> None:
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(address)
    expect(page.locator(".card")).to_have_count(34)
    assert page.locator("#totals div").all_inner_texts()[:4] == [
        "photos\n34",
        "restored\n30",
        "copied\n1\nnothing to repair",
        "failed\n3",
    ]
    expect(page.locator("#course canvas")).to_have_count(1)
    expect(page.locator("#figures canvas")).to_have_count(3)
    expect(page.locator(".stage")).to_have_count(6)
    painted = "c => new Set(c.getContext('2d').getImageData(0, 0, c.width, c.height).data).size"
    assert all(canvas.evaluate(painted) > 2 for canvas in page.locator("canvas").all())
    assert all(url.startswith(("file:", "data:")) for url in asked), "nothing comes over a network"


def test_it_opens_from_a_web_server_and_its_output_link_leads_there(
    page: Page, out: Path, served: str
) -> None:
    path = next(out.glob("reports/*/index.html")).relative_to(out)
    page.goto(f"{served}/{path.as_posix()}#{quote(outcome(29).item_id, safe='')}")
    expect(page.locator("#photo-title")).to_contain_text(outcome(29).item_id)
    assert page.evaluate("[...document.images].filter(i => i.slot && !i.naturalWidth).length") == 0
    link = page.get_by_role("link", name="0123456789ab.png").evaluate("a => a.href")
    assert page.request.get(link).body() == b"the restored picture"


def test_it_opens_from_a_bucket(page: Page, s3: Any) -> None:
    bucket = s3.fresh_bucket()
    path = reported(OutStore.open(f"s3://{bucket}/out"), [pictured(outcome(1), 1), failure(2)])
    s3.client.put_bucket_acl(Bucket=bucket, ACL="public-read")
    for item in s3.client.list_objects_v2(Bucket=bucket)["Contents"]:
        s3.client.put_object_acl(Bucket=bucket, Key=item["Key"], ACL="public-read")
    page.goto(f"{s3.endpoint}/{bucket}/out/{path}")
    expect(page.locator(".card")).to_have_count(2)
    expect(page.locator(".card img")).to_have_js_property("complete", True)
    assert page.locator("body").evaluate("b => getComputedStyle(b).maxWidth") == "1320px", "styled"


def test_reused_photos_are_named_and_show_their_former_thumbnails(page: Page, tmp_path: Path) -> None:
    store = OutStore.open(str(tmp_path / "out"))
    reported(store, [pictured(outcome(1), 1), pictured(outcome(2), 2)])
    again = [
        outcome(n, run_id=NEXT_RUN, reason="reused", reused_from=f"000001-00000-{n - 1:06d}") for n in (1, 2)
    ]
    path = reported(store, [*again, pictured(outcome(3), 3)], run_id=NEXT_RUN)
    page.goto((tmp_path / "out" / path).as_uri())
    totals = page.locator("#totals div").all_inner_texts()
    assert totals[:4] == [
        "photos\n3",
        "restored\n1",
        "copied\n0\nnothing to repair",
        "reused\n2\npictures of earlier runs",
    ]
    page.get_by_label("Status").select_option("reused")
    assert cards(page) == [outcome(2).item_id, outcome(1).item_id]
    assert page.locator(".card .note").all_inner_texts() == [
        "reused · suspicion 0.02",
        "reused · suspicion 0.01",
    ]
    expect(page.locator(".card img")).to_have_count(2)
    loaded = "image => image.decode().then(() => image.naturalWidth)"
    assert all(image.evaluate(loaded) > 0 for image in page.locator(".card img").all())
    page.locator(".card").first.click()
    expect(page.locator("#photo-title .status")).to_have_text("reused")
    expect(page.locator("#compare")).to_be_visible()


def test_the_archives_page_shows_what_is_there_now(page: Page, tmp_path: Path) -> None:
    store = OutStore.open(str(tmp_path / "out"))
    reported(store, [pictured(outcome(1, output_bytes=1_500_000), 1), failure(2), outcome(3)])
    reported(store, [pictured(outcome(3), 3), failure(1)], run_id=NEXT_RUN)
    rows = ds.dataset(tmp_path / "out/metadata", format="parquet").to_table()
    newest = rows.filter(~(pc.field("row_id") == "000001-00000-000002"))
    page.goto((tmp_path / "out" / write_archive_report(store, [newest], STARTED)).as_uri())
    expect(page.locator("h1")).to_have_text("The archive as it is now")
    assert page.locator("#totals div").all_inner_texts() == [
        "photos\n3",
        "restored\n2\ncurrent pictures",
        "copied\n0\nnothing to repair",
        "failed\n2\n1 still show an earlier picture",
        "size\n1.5 MB\ncurrent pictures",
    ]
    assert cards(page) == [failure(2).item_id, failure(1).item_id, outcome(3).item_id]
    expect(page.locator("#count")).to_have_text("3 photos")
    expect(page.locator(".card img")).to_have_count(1)
    expect(page.locator("#course canvas")).to_have_count(0)
    expect(page.locator("details.settings")).to_be_hidden()


def test_the_worst_come_first_and_filters_filter(page: Page, address: str) -> None:
    page.goto(address)
    shown = cards(page)
    assert shown[:3] == [failure(n).item_id for n in (50, 51, 52)]
    assert shown[3] == STRANGE and shown[4] == outcome(29).item_id and shown[-1] == outcome(41).item_id
    page.get_by_label("Status").select_option("restored")
    expect(page.locator("#count")).to_have_text("30 of 34 photos")
    page.get_by_label("Engine").select_option("telea")
    assert cards(page) == [outcome(n).item_id for n in range(29, 0, -2)]
    page.get_by_label("Search").fill("BOX-0/photo 0002")
    assert cards(page) == [outcome(n).item_id for n in (27, 21)]
    page.get_by_label("Search").fill("nothing like it")
    expect(page.locator("#gallery")).to_have_text("No photo matches.")
    page.get_by_role("button", name="mask_full").click()
    assert cards(page) == [failure(n).item_id for n in (51, 52)]
    page.get_by_label("Search").fill("no known pixel")
    assert cards(page) == [failure(52).item_id]


def test_orders_order(page: Page, address: str) -> None:
    page.goto(address)
    page.get_by_label("Order").select_option("item id")
    assert cards(page) == sorted(cards(page))
    page.get_by_label("Order").select_option("as they came")
    assert cards(page)[:2] == [outcome(n).item_id for n in (1, 2)]


def opened(page: Page, address: str, item_id: str) -> None:
    page.goto(f"{address}#{quote(item_id, safe='')}")
    expect(page.locator("#photo-title")).to_contain_text(item_id)
    expect(page.locator("#photo-body .facts")).to_be_visible()


def test_the_slider_drags(page: Page, address: str) -> None:
    opened(page, address, outcome(12).item_id)
    box = page.locator("#compare").bounding_box()
    assert box is not None
    middle = box["y"] + box["height"] / 2
    page.mouse.move(box["x"] + box["width"] / 2, middle)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] / 4, middle, steps=5)
    page.mouse.up()
    assert page.locator("#compare").evaluate("one => one.value") == pytest.approx(25, abs=1)
    assert float(page.get_by_label("Divider").input_value()) == pytest.approx(25, abs=1)
    page.get_by_label("Divider").fill("80")
    assert page.locator("#compare").evaluate("one => one.value") == 80
    left, right = (sample(page, share) for share in (0.1, 0.95))
    assert left == "before" and right == "after"


def sample(page: Page, share: float) -> str:
    """Which picture lies on top at a share of the slider's width."""
    return str(
        page.locator("#compare").evaluate(
            """(one, share) => {
                const first = one.shadowRoot.getElementById('first');
                const shown = 100 - parseFloat(getComputedStyle(first).getPropertyValue('--exposure'));
                return share * 100 < shown ? 'before' : 'after';
            }""",
            share,
        )
    )


def test_the_keyboard_goes_through_the_photos(page: Page, address: str) -> None:
    opened(page, address, outcome(12).item_id)
    title, compare = page.locator("#photo-title"), page.locator("#compare")
    page.keyboard.press("ArrowRight")
    expect(title).to_contain_text(outcome(11).item_id)
    assert page.url.endswith("#" + quote(outcome(11).item_id, safe=""))
    page.keyboard.press("ArrowLeft")
    expect(title).to_contain_text(outcome(12).item_id)
    expect(compare).to_be_visible()
    for value in (100, 0, 100):
        page.keyboard.press("Space")
        assert compare.evaluate("one => one.value") == value
    for key, layer in (("d", ".damage"), ("w", ".windows")):
        expect(page.locator(f".layer{layer}")).to_be_hidden()
        page.keyboard.press(key)
        expect(page.locator(f".layer{layer}")).to_be_visible()
    page.get_by_label("Divider").focus()
    page.keyboard.press("ArrowLeft")
    expect(title).to_contain_text(outcome(12).item_id)  # in the range an arrow moves the divider
    page.keyboard.press("Escape")
    expect(page.locator("#photo")).to_be_hidden()
    focused = "document.activeElement.querySelector('.id').textContent"
    assert page.evaluate(focused) == outcome(12).item_id
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowUp")
    assert page.evaluate(focused) == outcome(11).item_id
    page.keyboard.press("Space")
    expect(title).to_contain_text(outcome(11).item_id)
    page.keyboard.press("Escape")
    page.keyboard.press("/")
    expect(page.get_by_label("Search")).to_be_focused()


def test_windows_lie_where_the_row_says(page: Page, address: str) -> None:
    opened(page, address, outcome(12).item_id)
    page.get_by_role("button", name="1 window").click()
    area, box = (page.locator(one).bounding_box() for one in (".stage-area", ".windows rect"))
    assert area is not None and box is not None
    assert (box["x"] - area["x"]) / area["width"] == pytest.approx(40 / 640, abs=0.01)
    assert box["width"] / area["width"] == pytest.approx(200 / 640, abs=0.02)
    assert (box["y"] - area["y"]) / area["height"] == pytest.approx(60 / 480, abs=0.01)


def test_what_rows_hold_is_text_and_never_markup(page: Page, address: str) -> None:
    page.goto(address)
    expect(page.locator("#failure-rows")).to_contain_text(SCRIPT)
    expect(page.locator("#subtitle")).to_contain_text(HACK)
    assert STRANGE in cards(page)
    page.locator(".card", has_text="onerror").first.click()
    expect(page.locator("#photo-title")).to_contain_text(STRANGE)
    page.locator("summary", has_text="Recipe").click()
    expect(page.locator("#photo-body")).to_contain_text("<svg onload=window.hacked=1>")
    page.reload()
    expect(page.locator("#photo-title")).to_contain_text(STRANGE)  # any id can be linked to
    page.keyboard.press("Escape")
    page.locator(".card", has_text=failure(51).item_id).click()
    expect(page.locator("#photo-body .message")).to_contain_text(SCRIPT)
    page.goto(f"{address}#{quote(outcome(41).item_id, safe='')}")
    expect(page.locator("#photo-body")).to_contain_text(HACK)
    assert page.locator("#photo-body img").count() == 0


def test_an_id_that_is_not_listed_is_said_so(page: Page, address: str) -> None:
    page.goto(f"{address}#%E0%A4%A")
    expect(page.locator("#count")).to_contain_text("%E0%A4%A")
    expect(page.locator("#photo")).to_be_hidden()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_phone_shows_it_without_scrolling_sideways(chrome: Browser, address: str, scheme: str) -> None:
    with chrome.new_context(
        viewport={"width": 390, "height": 844}, color_scheme=scheme, has_touch=True
    ) as phone:  # type: ignore[arg-type]
        page = phone.new_page()
        page.goto(address)
        expect(page.locator(".card")).to_have_count(34)
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
        page.locator(".card").nth(4).tap()
        expect(page.locator("#compare")).to_be_visible()
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
        box = page.locator("#compare").bounding_box()
        assert box is not None and box["x"] >= 0 and box["x"] + box["width"] <= 390


def test_ten_thousand_rows_open_in_two_seconds(page: Page, tmp_path: Path) -> None:
    store = OutStore.open(str(tmp_path / "out"))
    message = (
        "https://archive.example/scans/photo.jpg: may not be read (AccessDenied); grant the job read rights"
    )
    rows = [outcome(n) for n in range(8000)] + [failure(8000 + n, message=message) for n in range(2000)]
    rows[7000:7040] = [pictured(one, n) for n, one in enumerate(rows[7000:7040])]
    path = reported(store, rows)
    page.goto("about:blank")
    began = time.perf_counter()
    page.goto((tmp_path / "out" / path).as_uri(), wait_until="load")
    expect(page.locator("#count")).to_have_text("10,000 photos")
    expect(page.locator("#figures canvas")).to_have_count(3)
    spent = time.perf_counter() - began
    began = time.perf_counter()
    page.get_by_label("Search").fill("photo 07")
    expect(page.locator("#count")).to_have_text("1,000 of 10,000 photos")
    print(f"\n10,000 rows: open in {spent:.2f} s, searched in {time.perf_counter() - began:.2f} s")
    assert spent < 2
    opened(page, (tmp_path / "out" / path).as_uri(), outcome(7010).item_id)


def test_what_a_listing_left_out_is_on_the_page(page: Page, tmp_path: Path) -> None:
    """A run is not just complete when files of its folder are no rows."""
    store = OutStore.open(str(tmp_path / "out"))
    twelve = [f"{HACK}{number}.heic" for number in range(12)]
    listed = {
        "photos": 5,
        "ambiguous": {"count": 1, "first": ["a: 2 photos: a.jpg, a.png"], "meaning": "names left out"},
        "other_files": {"count": 12, "first": twelve, "meaning": "files left out"},
        "illegal": {"count": 0, "first": []},
    }
    more = {"verdict": "complete", "images": "/archive/photos", "listed": listed}
    path = reported(store, [pictured(outcome(1), 1)], **more, left_out=14)
    page.goto((Path(store.root) / path).as_uri())
    expect(page.locator("h1 .verdict")).to_have_text("complete, 14 files left out")
    expect(page.locator("h1 .verdict")).to_have_class("verdict warn")
    expect(page.locator("#subtitle")).to_contain_text("/archive/photos")
    expect(page.locator("#totals .warn dd")).to_contain_text("14")
    rows = page.locator("#listing-rows tr")
    expect(rows).to_have_count(2)
    expect(rows.nth(0)).to_contain_text("names left out")
    expect(rows.nth(0)).to_contain_text("a: 2 photos: a.jpg, a.png")
    expect(rows.nth(1)).to_contain_text(twelve[9])
    expect(rows.nth(1)).to_contain_text("and 2 more")


def test_a_run_that_left_nothing_out_shows_no_listing(page: Page, address: str) -> None:
    page.goto(address)
    expect(page.locator("#listing")).to_be_hidden()
    expect(page.locator("#totals")).not_to_contain_text("left out")

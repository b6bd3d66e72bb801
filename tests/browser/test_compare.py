"""The comparison in a real browser: a first look, one selection on all maps, a phone, files."""

import json
import re
import time
from typing import Any

import pytest

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
expect = sync_api.expect

PHONE = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}
_SCROLL = """() => [document.scrollingElement, document.querySelector('[data-testid=stMain]')]
    .map(one => one.scrollWidth - one.clientWidth)"""


def head(screen: Any) -> Any:
    return screen.page.get_by_role("heading", level=3).first


def test_a_comparison_that_is_kept_opens_with_its_sentence_and_one_scale(screen, compared):
    screen.open("compare", **compared)
    screen.drawn("chart-b")
    screen.open("compare", **compared)  # the server's libraries are loaded now
    started = time.monotonic()
    screen.page.reload()
    expect(head(screen)).to_contain_text("difference beyond noise")
    told = time.monotonic() - started
    assert told < 20  # 2 s on an idle machine; a test must stand a busy one
    screen.drawn("chart-b")
    assert screen.drawn("chart-a")["box"] == screen.drawn("chart-b")["box"]


def test_a_box_on_one_map_greys_the_rest_on_both_and_joins_the_chosen(screen, compared):
    screen.open("compare", **compared)
    everything = screen.lit("chart-b")
    screen.page.get_by_role("button", name="Show the first 20 on the maps").click()
    screen.await_query(sel="")
    expect(screen.page.get_by_role("button", name="Clear selection")).to_be_visible()
    screen.settle()
    assert screen.lit("chart-a") == 20
    assert screen.drawn("chart-b")["arrows"] == 1
    screen.page.get_by_role("button", name="Clear selection").click()
    screen.settle()
    expect(screen.page.get_by_role("button", name="Clear selection")).to_have_count(0)
    assert screen.lit("chart-b") == everything


def test_linked_maps_are_zoomed_together_until_they_are_not(screen, compared):
    screen.open("compare", **compared)
    maps = ("chart-a", "chart-b")
    link = screen.key("chart-b").get_by_role("button", name="Zoom all maps together")
    screen.canvas("chart-a").press("+")
    assert [screen.drawn(key)["zoom"] for key in maps] == [1.5, 1.5]
    expect(link).to_have_attribute("aria-pressed", "true")
    link.click()
    screen.canvas("chart-a").press("+")
    assert [screen.drawn(key)["zoom"] for key in maps] == [2.25, 1.5]
    link.click()  # the one whose switch it is leads
    assert [screen.drawn(key)["zoom"] for key in maps] == [1.5, 1.5]


def test_a_phone_never_scrolls_sideways(new_screen, compared):
    screen = new_screen(**PHONE).open("compare", **compared)
    expect(head(screen)).to_be_visible()
    screen.drawn("chart-b")
    assert screen.page.evaluate(_SCROLL) == [0, 0]


def test_the_files_hold_what_the_page_shows(screen, compared):
    screen.open("compare", **compared)

    def fetched(name: str) -> str:
        with screen.page.expect_download() as started:
            screen.page.get_by_role("button", name=name, exact=True).click()
        return str(started.value.path().read_text())

    html = fetched("Charts as HTML")
    assert html.count('class="plotly-graph-div"') == 8
    assert not re.search(r"<(script|link)[^>]*https?://", html)
    rows = fetched("Differences (CSV)").splitlines()
    assert len(rows) == 5
    assert json.loads(f"[{rows[0]}]")[:2] == ["pair", "test"]

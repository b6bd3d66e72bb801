"""The diagnosis in a real browser: a deep link, a click on a curve, a phone, the files."""

import json
import re
from typing import Any

import pytest

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
expect = sync_api.expect

CURVES = ("curve-categorical", "curve-gradient", "curve-structural", "curve-dimensional")
PHONE = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}

_MARKS = """([key, layer]) => {
    const charts = document.querySelectorAll(`.st-key-${key} .js-plotly-plot`);
    return charts.length === 1 && charts[0].layout?.shapes?.[0]?.x0 === layer;
}"""
#: Where a layer is on the screen, as the chart's own axis says.
_PLACE = """(chart, layer) => {
    const box = chart.querySelector('.nsewdrag').getBoundingClientRect();
    const axis = chart._fullLayout.xaxis;
    return [box.x + axis.d2p(layer), box.y + box.height / 2];
}"""
_SCROLL = """() => [document.scrollingElement, document.querySelector('[data-testid=stMain]')]
    .map(one => one.scrollWidth - one.clientWidth)"""


def marked(screen: Any, key: str, layer: int) -> None:
    """Wait until a chart is there once (a new one comes before the old one goes) and marks it."""
    screen.page.wait_for_function(_MARKS, arg=[key, layer])


def click(screen: Any, key: str, layer: int) -> None:
    """Click into a chart where a layer is, away from its line."""
    screen.settle()
    screen.chart(key).evaluate("chart => chart.scrollIntoView({block: 'center'})")
    x, y = screen.chart(key).evaluate(_PLACE, layer)
    screen.page.mouse.move(x, y)
    screen.chart(key).locator(".hoverlayer .hovertext").first.wait_for()
    screen.page.mouse.click(x, y)


def test_a_deep_link_shows_its_layer_and_a_click_goes_to_another(screen, diagnosed):
    screen.open("diagnosis", **diagnosed, layer="0", part="care")
    expect(screen.text("Layer 0 at a glance")).to_be_visible()
    expect(screen.page.get_by_role("combobox", name="The curves show")).to_have_value("care")
    for key in CURVES:
        marked(screen, key, 0)
    click(screen, "curve-gradient", 2)
    screen.await_query(layer="2")
    expect(screen.text("Layer 2 at a glance")).to_be_visible()
    for key in CURVES:
        marked(screen, key, 2)
    slider = screen.key("layer").get_by_role("slider")
    expect(slider).to_have_attribute("aria-valuetext", "2")
    slider.press("ArrowLeft")
    marked(screen, "curve-gradient", 1)  # the anchor, which no address names
    click(screen, "curve-gradient", 2)  # once more, although the chart has it selected
    screen.await_query(layer="2")
    marked(screen, "curve-dimensional", 2)
    click(screen, "curve-dimensional", -1)
    screen.await_query(layer="emb")
    expect(screen.text("The embedding at a glance")).to_be_visible()
    assert screen.query()["part"] == "care"


def test_the_map_opens_at_the_layer(screen, diagnosed):
    screen.open("diagnosis", **diagnosed, layer="2")
    screen.page.get_by_role("button", name="Open the map at this layer").click()
    expect(screen.page.get_by_role("heading", name="Map", level=1)).to_be_visible()
    screen.drawn("chart-model")
    screen.await_query(layer="2", colour="residual")


def test_a_phone_never_scrolls_sideways(new_screen, diagnosed):
    screen = new_screen(**PHONE).open("diagnosis", **diagnosed)
    screen.chart("centres").locator(".main-svg").first.wait_for()
    assert screen.page.evaluate(_SCROLL) == [0, 0]


def test_the_files_hold_the_charts_and_the_receipt(screen, diagnosed):
    screen.open("diagnosis", **diagnosed)

    def fetched(name: str) -> str:
        with screen.page.expect_download() as started:
            screen.page.get_by_role("button", name=name, exact=True).click()
        return str(started.value.path().read_text())

    html = fetched("Charts as HTML")
    assert html.count('class="plotly-graph-div"') == 6
    assert not re.search(r"<(script|link)[^>]*https?://", html)
    assert json.loads(fetched("Receipt"))["figures"]
    assert fetched("CSV").splitlines()[0].startswith('"pooling","states","layer"')

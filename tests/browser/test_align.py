"""The page of alignments in a real browser: kept ones open, a slider moves the texts, ways on."""

from typing import Any

import numpy as np
import pytest

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
expect = sync_api.expect

PHONE = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}
_SCROLL = """() => [document.scrollingElement, document.querySelector('[data-testid=stMain]')]
    .map(one => one.scrollWidth - one.clientWidth)"""
_SLIDE = """(one, value) => {
    one.value = value;
    one.dispatchEvent(new Event('input'));
}"""
MAP = "chart-aligned"


def slide(screen: Any, frame: float) -> np.ndarray:
    """Move the slider to a place between the frames; return where the points then go."""
    screen.key(MAP).locator("input[type=range]").evaluate(_SLIDE, frame)
    return np.array(screen.drawn(MAP)["places"]).reshape(-1, 2)


def test_a_kept_alignment_opens_with_its_verdict_and_the_slider_moves_the_texts(screen, aligned):
    screen.open("align", **aligned)
    expect(screen.page.get_by_role("heading", level=3).first).to_contain_text("0.1 nats")
    screen.chart("arms-chart").locator(".main-svg").first.wait_for()
    screen.canvas(MAP)
    plain, half, whole, beyond = (slide(screen, frame) for frame in (0, 2, 4, 6))
    assert np.abs(whole - plain).max() > 1e-3
    np.testing.assert_allclose(half, (plain + whole) / 2, atol=1e-3)
    np.testing.assert_allclose(beyond, plain + 1.5 * (whole - plain), atol=1e-3)
    between = slide(screen, 5)
    np.testing.assert_allclose(between, plain + 1.25 * (whole - plain), atol=1e-3)
    expect(screen.key(MAP).locator("output")).to_have_text("1.25")
    slide(screen, 4)
    expect(screen.key(MAP).locator("output")).to_have_text("1.00 · aligned")


def test_a_control_is_shown_by_its_address_and_another_figure_by_a_click(screen, aligned):
    screen.open("align", **aligned, after="shuffled")
    screen.text("(shuffled)").wait_for()
    screen.page.get_by_role("radio", name="AUC", exact=True).click()
    screen.await_query(figure="AUC", after="shuffled")
    screen.text("AUC, over the untouched model").wait_for()


def test_an_alignment_that_is_not_kept_is_offered_with_a_click(screen, aligned):
    screen.open("align", **{**aligned, "kl": "0.2"})
    expect(screen.page.get_by_role("button", name="Align", exact=True)).to_be_visible()


def test_the_dictionary_goes_to_the_stage_whose_map_follows_its_share(screen, aligned):
    screen.open("align", **aligned)
    screen.page.get_by_role("button", name="Steer with it").click()
    expect(screen.page.get_by_role("heading", name="Steer", level=1)).to_be_visible()
    slider = screen.page.get_by_role("slider", name="Share of the change")
    canvas = screen.page.locator("canvas[data-shift]")
    canvas.wait_for()
    screen.page.locator("[data-test-script-state=notRunning]").first.wait_for()
    slider.fill("0")  # released
    expect(screen.page.locator(".stage .moved")).to_contain_text("Nothing is pushed")
    assert canvas.get_attribute("data-shift") == "0.0000 0.0000"
    slider.evaluate(_SLIDE, 100)  # held
    expect(screen.page.locator(".stage .moved")).to_contain_text("At 100 % texts move by")
    expect(screen.page.locator(".names output")).to_have_text("100 %, aligned")
    assert canvas.get_attribute("data-shift") != "0.0000 0.0000"
    slider.fill("120")
    expect(screen.page.locator(".stage .warning")).to_contain_text("Beyond what was trained")
    screen.page.wait_for_function("() => location.search.endsWith('=120')")
    screen.await_query(op="align", at="1")
    assert any(name.startswith("aligned:") for name in screen.query())


def test_a_phone_never_scrolls_sideways(new_screen, aligned):
    screen = new_screen(**PHONE).open("align", **aligned)
    screen.drawn(MAP)
    assert screen.page.evaluate(_SCROLL) == [0, 0]

"""The features page in a real browser: a deep link, a row, a neighbour, a phone."""

import re
from typing import Any

import pytest

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
expect = sync_api.expect

PHONE = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}
_SCROLL = """() => [document.scrollingElement, document.querySelector('[data-testid=stMain]')]
    .map(one => one.scrollWidth - one.clientWidth)"""


def passport(screen: Any, latent: str) -> None:
    """Wait until a latent's passport is open and drawn."""
    heading = screen.page.get_by_role("heading", name=f"Latent {latent}", exact=True)
    expect(heading).to_be_visible()
    screen.chart("passport-labels").locator(".main-svg").first.wait_for()


def test_a_deep_link_opens_a_passport_and_a_row_another(screen, taken_apart):
    screen.open("features", **taken_apart, latent="7", sort="harm")
    passport(screen, "7")
    table = screen.page.locator("[class*=st-key-latents-table] canvas").first
    table.evaluate("one => one.scrollIntoView({block: 'center', behavior: 'instant'})")
    area = table.bounding_box()
    for row in (1, 3):
        screen.page.mouse.click(area["x"] + 18, area["y"] + 35 * row + 18)
        screen.page.wait_for_function(
            "before => new URLSearchParams(location.search).get('latent') !== before",
            arg=screen.query().get("latent"),
        )
        screen.settle()
    opened = screen.query()["latent"]
    assert opened != "7"
    passport(screen, opened)


def test_a_neighbour_opens_with_a_click(screen, taken_apart):
    screen.open("features", **taken_apart, latent="7")
    passport(screen, "7")
    near = screen.page.locator("[class*=st-key-near-]").first
    label = near.inner_text()
    near.get_by_role("button").click()
    passport(screen, re.match(r"\d+", label)[0])


def test_a_phone_never_scrolls_sideways(new_screen, taken_apart):
    screen = new_screen(**PHONE).open("features", **taken_apart, latent="7")
    passport(screen, "7")
    assert screen.page.evaluate(_SCROLL) == [0, 0]

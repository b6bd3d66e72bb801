"""The page of evaluations in a real browser: judged blind by keyboard, undone, on the map."""

import time
from typing import Any

import pytest

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
expect = sync_api.expect

PHONE = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}
_SCROLL = """() => [document.scrollingElement, document.querySelector('[data-testid=stMain]')]
    .map(one => one.scrollWidth - one.clientWidth)"""


def judged(screen: Any, number: int) -> None:
    """Wait until so many pairs are judged."""
    expect(screen.page.get_by_test_id("stProgress").get_by_text(f"{number} of ")).to_be_visible()


def test_a_person_judges_by_keyboard_alone(screen, evaluated):
    screen.open("evaluate", **evaluated)
    blind = screen.page.locator("summary").filter(has_text="Judge yourself, blind")
    blind.focus()
    blind.press("Enter")
    name = screen.page.get_by_role("textbox", name="Your name or sign")
    called = f"Anne {time.time_ns()}"  # a second try judges anew
    name.fill(called)
    name.press("Enter")
    judged(screen, 0)
    name.press("Tab")
    asked = set()
    for number, key in enumerate(("ArrowLeft", "ArrowRight", "ArrowDown"), 1):
        asked.add(screen.key("blind-asked").inner_text())
        screen.page.keyboard.press(key)
        judged(screen, number)
        screen.settle()
    assert len(asked) == 3
    screen.page.keyboard.press("u")
    judged(screen, 2)
    expect(screen.text("Judges beside each other")).to_be_visible()
    screen.open("evaluate", **evaluated, who=called)  # another visit goes on there
    screen.page.locator("summary").filter(has_text="Judge yourself, blind").click()
    judged(screen, 2)


def test_answers_stand_on_the_map_with_one_pair(screen, evaluated):
    screen.open("evaluate", **evaluated, landed="3")
    screen.chart("evaluate-map").locator(".main-svg").first.wait_for()
    expect(screen.chart("evaluate-map").get_by_text("moral prompt, this answer")).to_be_visible()
    expect(screen.text("beside plain again")).to_be_visible()


def test_a_phone_never_scrolls_sideways(new_screen, evaluated):
    screen = new_screen(**PHONE).open("evaluate", **evaluated, landed="3")
    screen.chart("evaluate-arms").locator(".main-svg").first.wait_for()
    assert screen.page.evaluate(_SCROLL) == [0, 0]

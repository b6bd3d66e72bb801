"""Steering in a real browser: a deep link, a slider, texts that stream, Stop, a phone."""

import re
from typing import Any

import pytest

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
expect = sync_api.expect

PHONE = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}
_AFTER = """() => {
    const chart = document.querySelector('.st-key-answer .js-plotly-plot');
    const one = chart?._fullData?.find(trace => trace.name === 'steered');
    return one ? Array.from(one.x).join() : '';
}"""
_CHANGED = f"before => {{ const now = ({_AFTER})(); return now !== '' && now !== before; }}"
_SCROLL = """() => [document.scrollingElement, document.querySelector('[data-testid=stMain]')]
    .map(one => one.scrollWidth - one.clientWidth)"""


#: Notes every moment at which Write could be clicked beside a Stop of a text that is written.
_WATCH = """() => {
    window.beside = 0;
    const offered = key => document.querySelector(`.st-key-${key} button:not(:disabled)`);
    new MutationObserver(() => {  // a Stop that is about to go does no harm
        const stop = offered('stop');
        window.beside += offered('write') && stop && !stop.closest('[data-stale=true]') ? 1 : 0;
    }).observe(document.body, {subtree: true, childList: true, attributes: true});
}"""
_FADED = "one => Number(getComputedStyle(one).opacity) < 0.6"


def after(screen: Any, before: str = "") -> str:
    """Wait until the read-out is another one, and return it."""
    screen.page.wait_for_function(_CHANGED, arg=before)
    return str(screen.page.evaluate(_AFTER))


def test_a_deep_link_a_slider_and_the_read_out(screen, prepared):
    screen.open("steer", **prepared.few, **{"care-harm": "20", "at": "1", "plain": "1"})
    first = after(screen)
    expect(screen.text("along a random direction")).to_be_visible()
    slider = screen.key("care-harm").get_by_role("slider")
    expect(slider).to_have_value("20")
    slider.press("ArrowRight")
    screen.await_query(**{"care-harm": "21", "at": "1"})
    second = after(screen, first)
    to_zero = screen.page.get_by_role("button", name="harm ← → care to zero", exact=True)
    assert to_zero.bounding_box()["width"] < 60  # its icon is seen, its name is heard
    to_zero.click()
    expect(screen.text("Nothing is steered")).to_be_visible()
    assert "care-harm" not in screen.query()
    after(screen, second)


def test_two_people_write_and_neither_sees_the_others_text(new_screen, prepared):
    screens = [new_screen(), new_screen()]
    for number, screen in enumerate(screens):
        screen.open(
            "steer", **prepared.few, **{"care-harm": "40", "tokens": "25", "seed": str(number)}
        )
        after(screen)
    for screen in screens:
        screen.page.get_by_role("button", name="Write", exact=True).click()
    texts = []
    for screen in screens:
        expect(screen.text("the edit ran")).to_be_visible()
        screen.settle()
        texts.append(screen.page.locator(".ms-text").all_inner_texts())
        expect(screen.page.get_by_role("heading", name="Where do the texts land?")).to_be_visible()
    assert texts[0] != texts[1]


def test_texts_of_other_controls_are_marked_and_write_is_not_beside_stop(screen, prepared):
    settings = {"care-harm": "30", "tokens": "200", "samples": "8", "plain": "1"}
    screen.open("steer", **prepared.few, **settings)
    after(screen)
    screen.settle()
    screen.page.evaluate(_WATCH)
    screen.page.get_by_role("button", name="Write", exact=True).click()
    screen.page.get_by_role("button", name="Stop", exact=True).wait_for()
    expect(screen.page.get_by_role("button", name="Write", exact=True)).to_be_disabled()
    expect(screen.text("the edit ran")).to_be_visible()
    screen.settle()
    assert screen.page.evaluate("window.beside") == 0
    expect(screen.text("Written with care-harm +30%")).to_be_visible()
    past, text = screen.text("The controls say something else now"), screen.page.locator(".ms-text")
    expect(past).to_have_count(0)
    assert not text.first.evaluate(_FADED)
    slider = screen.key("care-harm").get_by_role("slider")
    slider.press("ArrowRight")
    expect(past).to_be_visible()
    assert text.first.evaluate(_FADED)
    slider.press("ArrowLeft")
    expect(past).to_have_count(0)


def test_stop_stops_and_the_next_run_works(screen, prepared):
    screen.open(
        "steer", **prepared.few, **{"care-harm": "40", "tokens": "200", "samples": "8", "seed": "7"}
    )
    after(screen)
    stop = screen.page.get_by_role("button", name="Stop", exact=True)
    stopped = screen.page.get_by_text(re.compile("Stopped (after|before)"))
    for _ in range(3):  # the tiny model writes all of it in a second or two: one may be too late
        screen.page.get_by_role("button", name="Write", exact=True).click()
        stop.click()
        stop.wait_for(state="hidden")
        screen.settle()
        if stopped.count():
            break
    expect(stopped.first).to_be_visible()
    screen.page.get_by_role("button", name="Write", exact=True).click()
    expect(screen.text("the edit ran")).to_be_visible()
    expect(stopped).to_have_count(0)


def test_a_phone_never_scrolls_sideways(new_screen, prepared):
    screen = new_screen(**PHONE).open("steer", **prepared.few, **{"care-harm": "20"})
    after(screen)
    assert screen.page.evaluate(_SCROLL) == [0, 0]

"""The stage in a real browser: points move under the thumb, release tells the page, both themes."""

import itertools
import re
from typing import Any
from urllib.parse import urlencode

import pytest

from core.foundations import FOUNDATIONS
from core.maps.view import ViewSpec
from core.steering.effects.paths import NeighbourMap
from core.steering.effects.probes import FURTHER, PROBES, probe_rows
from core.steering.effects.shift import shift
from tests.browser.conftest import study_in

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
expect = sync_api.expect

PHONE = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}
LAPTOP = {"viewport": {"width": 1440, "height": 900}}
_SCROLL = """() => [document.scrollingElement, document.querySelector('[data-testid=stMain]')]
    .map(one => one.scrollWidth - one.clientWidth)"""
#: Whether all that can be followed at a strength has been.
_ALL_SETTLED = """strength => {
    const {settled} = globalThis.moralscopeStage;
    return settled?.strengths["care-harm"] === strength && settled.left === 0;
}"""
#: Pixels that are lighter than any point: words and lines on a dark ground.
_LIGHT = """canvas => {
    const {data} = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
    let count = 0;
    for (let at = 0; at < data.length; at += 4)
        count += data[at + 3] > 150 && data[at] + data[at + 1] + data[at + 2] > 600;
    return count;
}"""


def opened(screen: Any, **query: str) -> Any:
    """Open the page, wait until the map is drawn, and return its canvas."""
    screen.page.goto(f"{screen.url}/steer?{urlencode(query)}")
    canvas = screen.page.locator("canvas[data-shift]")
    canvas.wait_for()
    screen.page.locator("[data-test-script-state=notRunning]").first.wait_for()
    return canvas


def slider(screen: Any, name: str) -> Any:
    return screen.page.get_by_role("slider", name=name, exact=True)


def moved_by(canvas: Any) -> tuple[float, ...]:
    return tuple(map(float, canvas.get_attribute("data-shift").split()))


def out_of_sight(shown: list[Any]) -> list[Any]:
    """Return the boxes of what a laptop's screen does not show whole."""
    boxes = [one.bounding_box() for one in shown]
    return [box for box in boxes if box["y"] < 0 or box["y"] + box["height"] > 900]


def moves_from(screen: Any, before: tuple[float, ...]) -> None:
    """Wait until the points lie elsewhere."""
    screen.page.wait_for_function(
        """before => {
            const parts = [...document.querySelectorAll('*')].map(one => one.shadowRoot);
            const canvas = parts.map(one => one?.querySelector('canvas[data-shift]')).find(Boolean);
            return canvas && canvas.dataset.shift !== before;
        }""",
        arg=" ".join(f"{one:.4f}" for one in before),
    )


def test_points_move_while_the_thumb_is_held_and_release_sets_the_address(new_screen, prepared):
    screen = new_screen(**LAPTOP)
    canvas = opened(screen, **prepared.few)
    assert moved_by(canvas) == (0, 0)
    plain, mouse = canvas.screenshot(), screen.page.mouse
    slider(
        screen, "harm ← → care"
    ).hover()  # waits until the slider lies still, and hits its middle
    thumb = slider(screen, "harm ← → care").bounding_box()
    middle = thumb["y"] + thumb["height"] / 2
    mouse.down()
    mouse.move(thumb["x"] + thumb["width"] * 0.7, middle, steps=5)
    moves_from(screen, (0, 0))
    first = moved_by(canvas)
    mouse.move(thumb["x"] + thumb["width"] * 0.85, middle, steps=5)
    moves_from(screen, first)
    second = moved_by(canvas)
    assert canvas.screenshot() != plain
    assert "care-harm" not in screen.query()  # the button is still down
    mouse.up()
    screen.await_query(**{"care-harm": ""})
    dose = int(screen.query()["care-harm"])
    assert dose == int(slider(screen, "harm ← → care").input_value()) > 20
    screen.settle()
    # Twice as far is twice as strong, and what the page says back changes nothing.
    assert moved_by(canvas) == second
    assert second[0] / first[0] == pytest.approx(second[1] / first[1], rel=0.05)


@pytest.mark.parametrize("picture", ["pca", "axes", "umap"])
def test_the_browser_draws_what_core_says(picture, new_screen, prepared):
    work, study = study_in(prepared)
    view, strengths = ViewSpec(0, method=picture), {"care-harm": 0.3, "loyalty-betrayal": -0.2}
    if picture == "umap":
        near = NeighbourMap(work.store, study, FOUNDATIONS, view)
        paths, found = near.paths, near.settled(strengths)
        moved = (found.places - paths.points[found.rows]).mean(axis=0)
    else:
        paths = shift(work.store, study, FOUNDATIONS, view)
        moved = paths.middle(strengths)
    screen = new_screen(**LAPTOP)
    doses = {axis: f"{100 * one:.0f}" for axis, one in strengths.items()}
    canvas = opened(screen, **prepared.few, **doses, **{"at": "0", "picture": picture})
    state = "settled" if picture == "umap" else "exact"
    expect(canvas).to_have_attribute("data-state", state)
    assert moved_by(canvas) == pytest.approx(tuple(moved / paths.width), abs=1e-4)


def test_arrows_move_a_step_zero_zeroes_and_a_preset_moves_the_thumb(new_screen, prepared):
    screen = new_screen(**LAPTOP)
    canvas = opened(screen, **prepared.few, **{"care-harm": "20"})
    one = slider(screen, "harm ← → care")
    expect(one).to_have_value("20")
    before = moved_by(canvas)
    assert before != (0, 0)
    for _ in range(3):
        one.press("ArrowRight")
    screen.await_query(**{"care-harm": "23"})
    screen.settle()
    expect(one).to_have_value("23")
    moves_from(screen, before)
    one.press("0")
    expect(screen.text("Nothing is steered").first).to_be_visible()
    assert "care-harm" not in screen.query()
    assert moved_by(canvas) == (0, 0)
    screen.page.get_by_role("button", name="Presets").click()
    screen.page.get_by_role("button", name="More harmful", exact=True).click()
    screen.await_query(**{"care-harm": "-10"})
    expect(one).to_have_value("-10")
    moves_from(screen, (0, 0))


def test_drag_release_write_and_land_without_a_scroll(new_screen, prepared):
    screen = new_screen(**LAPTOP)
    canvas = opened(screen, **prepared.few, **{"tokens": "20", "samples": "1"})
    write = screen.page.get_by_role("button", name="Write", exact=True)
    boxes = [screen.page.get_by_role("region", name=f"{one} text") for one in ("Plain", "Steered")]
    shown = [
        screen.page.get_by_role("textbox", name="Prompt"),
        screen.page.get_by_role("slider", name="Steer after layer"),
        *(slider(screen, name) for name in ("harm ← → care", "degradation ← → sanctity")),
        write,
        canvas,
        *boxes,
    ]
    assert not out_of_sight(shown)
    assert canvas.bounding_box()["width"] >= 620
    assert canvas.bounding_box()["height"] >= 560
    one = slider(screen, "harm ← → care")
    one.press("End")
    screen.await_query(**{"care-harm": "40"})
    without = canvas.screenshot()
    one.press(" ")  # as a click on Write
    expect(screen.text("Written with care-harm +40%")).to_be_visible()
    screen.settle()
    screen.page.wait_for_function("globalThis.moralscopeStage.marks.length >= 2")
    screen.page.wait_for_timeout(200)
    assert canvas.screenshot() != without
    expect(boxes[1]).not_to_contain_text("space bar")
    assert not out_of_sight(shown)
    main = screen.page.get_by_test_id("stMain")
    assert main.evaluate("one => one.scrollTop") == 0


def test_esc_stops_and_a_space_in_the_prompt_is_a_space(new_screen, prepared):
    screen = new_screen(**LAPTOP)
    opened(
        screen, **prepared.few, **{"care-harm": "30", "tokens": "200", "samples": "8", "seed": "3"}
    )
    prompt = screen.page.get_by_role("textbox", name="Prompt")
    prompt.press("End")
    prompt.press_sequentially(" now")
    expect(prompt).to_have_value(re.compile("morally now$"))
    assert screen.page.get_by_role("button", name="Stop", exact=True).count() == 0
    prompt.press("Control+Enter")
    screen.settle()
    stop = screen.page.get_by_role("button", name="Stop", exact=True)
    stopped = screen.page.get_by_text(re.compile("Stopped (after|before)"))
    for _ in range(3):  # the tiny model writes all of it in a second or two: one may be too late
        slider(screen, "harm ← → care").press(" ")
        stop.wait_for()
        screen.page.keyboard.press("Escape")
        stop.wait_for(state="hidden")
        screen.settle()
        if stopped.count():
            break
    expect(stopped.first).to_be_visible()


def test_a_layer_draws_the_whole_page_anew(new_screen, prepared):
    screen = new_screen(**LAPTOP)
    canvas = opened(screen, **prepared.few, **{"care-harm": "30", "at": "1"})
    before = moved_by(canvas)
    screen.page.get_by_role("slider", name="Steer after layer").press("ArrowLeft")
    screen.await_query(at="0")
    moves_from(screen, before)
    expect(screen.key("dose-start")).to_be_visible()


def test_moral_axes_are_drawn_anew_when_it_gets_dark(new_screen, prepared):
    screen = new_screen(**LAPTOP, color_scheme="light")
    canvas = opened(screen, **prepared.few, **{"picture": "axes"})
    assert moved_by(canvas) == (0, 0)
    slider(screen, "harm ← → care").press("ArrowLeft")
    moves_from(screen, (0, 0))
    slider(screen, "harm ← → care").press("0")
    screen.settle()
    assert canvas.evaluate(_LIGHT) == 0
    screen.page.emulate_media(color_scheme="dark")
    screen.page.wait_for_timeout(1000)
    assert canvas.evaluate(_LIGHT) > 50


@pytest.mark.parametrize("asked", [{"at": "0", "seen": "2"}, {"picture": "umap"}])
def test_a_preview_settles_on_release_and_says_how_far_it_was_off(asked, new_screen, prepared):
    screen = new_screen(**LAPTOP)
    canvas = opened(screen, **prepared.few, **asked)
    how = screen.page.locator(".how")
    expect(how).to_contain_text("Preview")
    slider(screen, "harm ← → care").hover()
    thumb = slider(screen, "harm ← → care").bounding_box()
    middle, mouse = thumb["y"] + thumb["height"] / 2, screen.page.mouse
    mouse.down()
    mouse.move(thumb["x"] + thumb["width"] * 0.85, middle, steps=5)
    moves_from(screen, (0, 0))
    expect(canvas).to_have_attribute("data-state", "preview")
    mouse.up()
    expect(canvas).to_have_attribute("data-state", "settled")
    said = r"^Settled: the preview was \.\d+ map widths off \(median of \d+ actions\)"
    expect(how).to_have_text(re.compile(said))
    slider(screen, "betrayal ← → loyalty").press("0")  # nothing changes, it stays
    expect(canvas).to_have_attribute("data-state", "settled")


@pytest.mark.slow
def test_after_release_further_actions_settle_until_all_have(new_screen, prepared):
    _, study = study_in(prepared, every=True)
    count = len(probe_rows(study, PROBES + FURTHER))
    assert count > 2 * PROBES
    screen = new_screen(**LAPTOP)
    canvas = opened(screen, model=prepared.model, at="0", seen="2")
    one, how = slider(screen, "harm ← → care"), screen.page.locator(".how")
    for key in ("End", "ArrowLeft"):  # another strength begins anew
        one.press(key)
        strength = int(one.input_value()) / 100
        screen.page.wait_for_function(_ALL_SETTLED, arg=strength)
        expect(how).to_contain_text(f"(median of {count} actions)")
    expect(canvas).to_have_attribute("data-state", "settled")


def test_on_a_phone_the_map_comes_first_and_nothing_scrolls_sideways(new_screen, prepared):
    screen = new_screen(**PHONE)
    canvas = opened(screen, **prepared.few, **{"care-harm": "20"})
    assert screen.page.evaluate(_SCROLL) == [0, 0]
    # The sliders follow at once: what stands between is what the map says.
    bottom = canvas.bounding_box()["y"] + canvas.bounding_box()["height"]
    first = slider(screen, "harm ← → care").bounding_box()
    assert bottom < first["y"] < bottom + 140
    order = [
        screen.page.locator(".moved"),
        slider(screen, "harm ← → care"),
        slider(screen, "degradation ← → sanctity"),
        screen.page.get_by_role("button", name="Write", exact=True),
        screen.page.get_by_role("region", name="Steered text"),
        screen.page.get_by_role("textbox", name="Prompt"),
    ]
    boxes = [one.bounding_box() for one in order]
    for above, below in itertools.pairwise(boxes):  # nothing overlaps
        assert above["y"] + above["height"] <= below["y"] + 1


def test_the_stage_alone_fills_the_screen_and_esc_brings_the_page_back(new_screen, prepared):
    screen = new_screen(**LAPTOP)
    canvas = opened(screen, **prepared.few, **{"stage": "1", "care-harm": "20"})
    sidebar = screen.page.get_by_test_id("stSidebar")
    expect(sidebar).to_be_hidden()
    expect(screen.page.get_by_role("heading", name="Steer", exact=True)).to_be_hidden()
    wide = canvas.bounding_box()["width"]
    shown = [canvas, slider(screen, "degradation ← → sanctity")]
    shown.append(screen.page.get_by_role("region", name="Steered text"))
    assert not out_of_sight(shown)
    slider(screen, "harm ← → care").press("Escape")
    expect(sidebar).to_be_visible()
    screen.settle()
    assert "stage" not in screen.query()
    assert canvas.bounding_box()["width"] < wide
    screen.page.get_by_role("button", name="Stage", exact=True).click()
    expect(sidebar).to_be_hidden()
    screen.await_query(stage="1")


def test_beyond_a_measured_safe_range_it_warns_before_writing(new_screen, prepared):
    screen = new_screen(**LAPTOP)
    opened(screen, **prepared.few, **{"at": "2", "sweep": "loyalty-betrayal"})
    one, warning = slider(screen, "betrayal ← → loyalty"), screen.page.locator(".warning")
    one.press("End")
    expect(warning).to_have_text("Safe range not measured: see below.")
    screen.key("dose-start").get_by_role("button").click()
    screen.key("dose-chart").wait_for()
    expect(warning).to_contain_text("Beyond the safe range: loyalty +40 %")
    one.press("0")
    expect(warning).to_have_text("")

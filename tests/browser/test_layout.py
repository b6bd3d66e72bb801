"""What is seen at first: the map above the fold, nothing wider than the screen."""

from typing import Any

import pytest

LAPTOP = {"viewport": {"width": 1440, "height": 900}}
PHONE = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}

#: Page -> what is its map, and how far from the top of the window it may begin.
MAPS = {
    "map": (".st-key-chart-model canvas.over", 300),
    "compare": (".st-key-chart-b canvas.over", 420),
    "steer": ("canvas[data-shift]", 300),
}
_TOP = "one => one.getBoundingClientRect().top"


def map_of(screen: Any, page: str, query: dict[str, str]) -> Any:
    screen.open(page, **query)
    found = screen.page.locator(MAPS[page][0])
    found.wait_for()
    screen.settle()
    return found


@pytest.mark.parametrize("page", MAPS)
def test_the_map_stands_above_the_fold(new_screen: Any, everywhere: Any, page: str):
    screen = new_screen(**LAPTOP)
    box = map_of(screen, page, everywhere[page]).bounding_box()
    assert box["y"] <= MAPS[page][1]
    assert box["height"] >= 400
    assert box["x"] + box["width"] <= 1440


@pytest.mark.parametrize("page", ["map", "compare"])
def test_on_a_phone_the_map_stands_before_its_controls(new_screen: Any, everywhere: Any, page: str):
    screen = new_screen(**PHONE)
    found = map_of(screen, page, everywhere[page])
    assert found.evaluate(_TOP) < screen.key("layer").evaluate(_TOP)
    first = screen.canvas("chart-people" if page == "map" else "chart-a")
    assert first.evaluate(_TOP) <= 500


def test_beside_a_folded_sidebar_the_head_can_be_read_and_pressed(new_screen: Any, everywhere: Any):
    screen = new_screen(**LAPTOP)
    map_of(screen, "map", everywhere["map"])
    screen.page.get_by_test_id("stSidebarHeader").hover()
    screen.page.get_by_test_id("stSidebarCollapseButton").get_by_role("button").click()
    screen.page.get_by_role("button", name="About this model").click()
    screen.page.get_by_text("Architecture").wait_for()
    screen.page.get_by_test_id("stExpandSidebarButton").click()
    screen.page.get_by_test_id("stSidebarNav").wait_for()


def test_the_first_page_shows_both_maps_and_the_tour_without_scrolling(
    new_screen: Any, prepared: Any
):
    screen = new_screen(**LAPTOP)
    screen.open("", **prepared.few)
    for key in ("chart-people", "chart-model"):
        screen.drawn(key)
    last = screen.key("tour-7").bounding_box()
    assert last["y"] + last["height"] < 900
    screen.key("tour-3").get_by_role("button").click()
    screen.await_query(step="4", say="")
    screen.text("Step 4 of 8").wait_for()
    screen.canvas("chart-model")
    screen.key("tour-next").get_by_role("button").click()
    screen.text("Step 5 of 8").wait_for()
    screen.page.get_by_role("heading", name="Compare", level=1).wait_for()
    screen.await_query(step="5")

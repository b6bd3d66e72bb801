"""The canvas of a flat map: mouse, wheel, keys, what both maps share, both themes, a phone."""

import io
import re
from typing import Any
from xml.etree import ElementTree

import pytest
from PIL import Image

from core.foundations import DIMENSIONS

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
expect = sync_api.expect

MAPS = ("chart-people", "chart-model")
PHONE = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}
_SCROLL = """() => [document.scrollingElement, document.querySelector('[data-testid=stMain]')]
    .map(one => one.scrollWidth - one.clientWidth)"""
_INK = "root => root.drawn.look()"


def middle(screen: Any, key: str) -> tuple[float, float]:
    screen.canvas(key).scroll_into_view_if_needed()
    area = screen.canvas(key).bounding_box()
    return area["x"] + area["width"] / 2, area["y"] + area["height"] / 2


def lonely(screen: Any, key: str) -> int:
    """Return an item of a map that no other lies near to."""
    row: int = (
        screen.key(key)
        .locator(".atlas")
        .evaluate(
            """root => {
                const map = root.drawn, all = [...Array(map.n).keys()].map(row => map.spot(row));
                const gap = ([x, y], not) => Math.min(...all.map(([a, b], row) =>
                    row === not ? 1e9 : Math.hypot(a - x, b - y)));
                return all.map((one, row) => [gap(one, row), row])
                    .filter(([, row]) => all[row][1] > 60).sort((a, b) => b[0] - a[0])[0][1];
            }"""
        )
    )
    return row


def tip(screen: Any, key: str) -> Any:
    return screen.key(key).locator(".tip")


def test_a_point_is_told_and_marked_on_both_maps(few_map):
    row = lonely(few_map, "chart-model")
    few_map.canvas("chart-model").scroll_into_view_if_needed()
    few_map.page.mouse.move(*few_map.spot("chart-model", row))
    expect(tip(few_map, "chart-model")).to_have_text(re.compile(r"\w+ · (virtue|vice|neutral)"))
    expect(tip(few_map, "chart-people")).to_be_empty()
    assert [few_map.drawn(key)["met"] for key in MAPS] == [row, row]
    few_map.page.mouse.move(5, 5)
    expect(tip(few_map, "chart-model")).to_be_empty()
    assert few_map.drawn("chart-people")["met"] == -1


def test_arrows_go_from_point_to_point_and_say_where_they_are(few_map):
    canvas = few_map.canvas("chart-people")
    canvas.focus()
    heard = few_map.key("chart-people").locator("[aria-live=polite]")
    canvas.press("ArrowRight")
    expect(heard).to_have_text(re.compile(r"\w+ · (virtue|vice|neutral)"))
    first = few_map.drawn("chart-people")["met"]
    canvas.press("ArrowRight")
    second = few_map.drawn("chart-model")["met"]  # the same item is marked there
    assert second != first
    assert few_map.spot("chart-people", second)[0] > few_map.spot("chart-people", first)[0]
    for _ in range(80):
        canvas.press("ArrowRight")
    expect(heard).to_have_text("No point further that way.")


def test_wheel_and_keys_zoom_shift_moves_and_0_shows_all(few_map):
    canvas, mouse = few_map.canvas("chart-people"), few_map.page.mouse
    x, y = middle(few_map, "chart-people")
    mouse.move(x, y)
    mouse.wheel(0, -300)  # the page's own wheel, until the map is asked
    few_map.page.wait_for_timeout(300)
    assert few_map.drawn("chart-people")["zoom"] == 1
    x, y = middle(few_map, "chart-people")
    mouse.move(x, y)
    few_map.page.keyboard.down("Control")
    mouse.wheel(0, -300)
    few_map.page.keyboard.up("Control")
    few_map.page.wait_for_function(
        "() => [...document.querySelectorAll('*')].some("
        "one => one.shadowRoot?.querySelector('.atlas')?.drawn.zoom?.k > 1)"
    )
    assert few_map.drawn("chart-model")["zoom"] == 1
    few_map.page.wait_for_timeout(100)
    before = few_map.spot("chart-people", 0)
    few_map.page.keyboard.down("Shift")
    mouse.down()
    mouse.move(x + 40, y + 30, steps=4)
    mouse.up()
    few_map.page.keyboard.up("Shift")
    few_map.page.wait_for_timeout(200)
    after = few_map.spot("chart-people", 0)
    assert after == pytest.approx((before[0] + 40, before[1] + 30), abs=1)
    assert "sel" not in few_map.query()
    canvas.press("0")
    few_map.page.wait_for_timeout(100)
    assert few_map.drawn("chart-people")["zoom"] == 1
    canvas.press("+")
    assert few_map.drawn("chart-people")["zoom"] == 1.5


def test_with_alt_a_line_is_drawn_around(few_map):
    x, y = middle(few_map, "chart-model")
    mouse = few_map.page.mouse
    few_map.page.keyboard.down("Alt")
    mouse.move(x, y - 150)
    mouse.down()
    for to in ((x + 150, y + 100), (x - 150, y + 100), (x, y - 150)):
        mouse.move(*to, steps=6)
    mouse.up()
    few_map.page.keyboard.up("Alt")
    few_map.await_query(sel="")
    few_map.settle()
    drawn = few_map.drawn("chart-people")
    assert 0 < drawn["lit"] < drawn["points"]


def test_entries_of_the_legend_filter_both_maps_without_the_server(few_map):
    total = few_map.drawn("chart-model")["points"]
    care = few_map.page.get_by_role("button", name="care – harm", exact=True)
    expect(care).to_have_attribute("aria-pressed", "false")
    few_map.page.context.set_offline(True)
    care.click()
    expect(care).to_have_attribute("aria-pressed", "true")
    some = [few_map.drawn(key)["points"] for key in MAPS]
    assert 0 < some[0] == some[1] < total
    vice = few_map.page.get_by_role("button", name="vice", exact=True)
    vice.focus()
    vice.press("Enter")
    fewer = [few_map.drawn(key)["points"] for key in MAPS]
    assert 0 < fewer[0] == fewer[1] < some[0]
    few_map.page.context.set_offline(False)
    few_map.box("chart-people", share=0.98)  # what is not shown is not chosen
    few_map.await_query(sel="")
    few_map.settle()
    for one in (vice, care):
        one.click()
        expect(one).to_have_attribute("aria-pressed", "false")
    drawn = few_map.drawn("chart-model")
    assert drawn["points"] == total
    assert drawn["lit"] <= fewer[0]


def test_a_filter_holds_while_the_layer_changes_and_points_move_there(few_map):
    few_map.page.get_by_role("button", name="care – harm", exact=True).click()
    before = few_map.drawn("chart-model")
    few_map.key("layer").get_by_role("slider").press("ArrowRight")
    few_map.await_query(layer="2")
    few_map.settle()
    after = few_map.drawn("chart-model")
    assert after["points"] == before["points"]
    assert after["places"] != before["places"]
    few_map.page.wait_for_timeout(600)
    moved = few_map.key("chart-model").locator(".atlas").evaluate("root => [...root.drawn.places]")
    assert moved == after["places"]


def test_a_click_opens_a_panel_that_the_address_keeps_and_that_leads_to_steer(few_map):
    row = lonely(few_map, "chart-model")
    few_map.canvas("chart-model").scroll_into_view_if_needed()
    few_map.page.mouse.click(*few_map.spot("chart-model", row))
    few_map.await_query(point="")
    expect(few_map.text("Ten neighbours in both spaces")).to_be_visible()
    few_map.settle()
    assert [few_map.drawn(key)["point"] for key in MAPS] == [row, row]
    few_map.page.reload()
    expect(few_map.text("Ten neighbours in both spaces")).to_be_visible()
    few_map.settle()
    few_map.page.get_by_role("button", name="Make it the prompt").click()
    prompt = few_map.page.get_by_role("textbox", name="Prompt")
    expect(prompt).to_have_value(re.compile(r" is morally$"))
    few_map.page.go_back()
    expect(few_map.text("Ten neighbours in both spaces")).to_be_visible()
    few_map.settle()
    few_map.page.get_by_role("button", name="Close", exact=True).click()
    expect(few_map.page).not_to_have_url(re.compile("point="))


def test_enter_opens_the_point_that_the_arrows_have_reached(few_map):
    canvas = few_map.canvas("chart-people")
    canvas.focus()
    canvas.press("ArrowRight")
    row = few_map.drawn("chart-people")["met"]
    canvas.press("Enter")
    few_map.await_query(point="")
    few_map.settle()
    assert few_map.drawn("chart-model")["point"] == row


def played(new_screen: Any, prepared: Any, **options: Any) -> Any:
    """Open the map once the server has drawn all layers ahead."""
    screen = new_screen(**options).open("map", **prepared.few)
    for _ in range(30):
        screen.drawn("chart-model")
        if screen.page.get_by_role("slider", name="Layer shown").get_attribute("max") == "3":
            return screen
        screen.page.wait_for_timeout(1000)
        screen.page.reload()
        screen.settle()
    pytest.fail("the layers are not drawn ahead")


def test_layers_are_played_and_one_of_them_is_opened(new_screen, prepared):
    screen = played(new_screen, prepared)
    scrub = screen.page.get_by_role("slider", name="Layer shown")
    expect(scrub).to_have_attribute("aria-valuetext", "layer 1")
    before = screen.drawn("chart-model")["places"]
    seen = "root => root.drawn.map(500, 500).badge"
    assert screen.key("chart-model").locator(".atlas").evaluate(seen) == ""
    scrub.press("Home")
    expect(scrub).to_have_attribute("aria-valuetext", "embedding")
    assert screen.key("chart-model").locator(".atlas").evaluate(seen) == "embedding"
    assert screen.drawn("chart-model")["places"] != before
    screen.page.get_by_role("button", name="Play over layers").click()
    expect(screen.page.get_by_role("button", name="Pause")).to_be_visible()
    expect(scrub).to_have_attribute("aria-valuetext", "layer 2")
    expect(screen.page.get_by_role("button", name="Play over layers")).to_be_visible()
    last = screen.drawn("chart-model")["places"]
    assert "layer" not in screen.query()  # the server was not asked
    screen.page.get_by_role("button", name="Open layer 2").click()
    screen.await_query(layer="2").settle()
    assert screen.drawn("chart-model")["places"] == last
    expect(screen.page.get_by_role("button", name="Open layer 2")).to_have_count(0)
    expect(screen.text("Typicality over layers, as a table")).to_be_visible()
    curve = screen.page.get_by_role("img", name=re.compile("Typicality over layers: embedding"))
    expect(curve).to_be_visible()
    assert "shuffled labels" in curve.get_attribute("aria-label")


def test_who_wants_no_motion_gets_none(new_screen, prepared):
    screen = played(new_screen, prepared, reduced_motion="reduce")
    screen.page.get_by_role("slider", name="Layer shown").press("Home")
    moving = screen.key("chart-model").locator(".atlas").evaluate("root => root.drawn.morph")
    assert moving is None


@pytest.mark.parametrize("kind", ["PNG", "SVG"])
def test_a_map_is_saved_with_title_legend_layer_set_and_licence(few_map, kind, prepared):
    with few_map.page.expect_download() as started:
        few_map.key("chart-model").get_by_role("button", name=f"Save as {kind}").click()
    assert started.value.suggested_filename == f"moralscope-model.{kind.lower()}"
    content = started.value.path().read_bytes()
    if kind == "PNG":
        picture = Image.open(io.BytesIO(content))
        assert picture.width == 3 * few_map.canvas("chart-model").evaluate("one => one.clientWidth")
        assert len(picture.convert("RGB").getcolors(2**24)) > 50
        return
    root = ElementTree.fromstring(content)  # ours, and well-formed
    space = "{http://www.w3.org/2000/svg}"
    told = " ".join(one.text or "" for one in root.iter(f"{space}text"))
    for words in (
        "layer 1",
        "UMAP of states",
        "Foundation",
        "care – harm",
        "neutral",
        "Few actions",
    ):
        assert words in told
    assert "licence:" in told
    assert len(list(root.iter(f"{space}path"))) > few_map.drawn("chart-model")["points"]


def test_poles_are_named_where_their_members_are_shown(few_map):
    def named() -> list[str]:
        found: list[str] = (
            few_map.key("chart-model")
            .locator(".atlas")
            .evaluate("root => root.drawn.map(500, 500).centres.map(one => one.name)")
        )
        return found

    assert sorted(named()) == sorted(DIMENSIONS)
    few_map.page.get_by_role("button", name="care – harm", exact=True).click()
    assert sorted(named()) == ["care", "harm"]
    switch = few_map.key("chart-people").get_by_role("button", name="Names")
    switch.click()
    expect(switch).to_have_attribute("aria-pressed", "false")
    assert named() == []  # on the other map as well


def test_moral_axes_are_titled_and_a_dark_page_has_light_ink(new_screen, prepared):
    screen = new_screen(color_scheme="light").open("map", **prepared.few, method="axes")
    assert screen.drawn("chart-people")["titles"][0] == "care − harm (grade)"
    light = screen.key("chart-people").locator(".atlas").evaluate(_INK)
    screen.page.emulate_media(color_scheme="dark")
    screen.page.wait_for_timeout(1000)
    dark = screen.key("chart-people").locator(".atlas").evaluate(_INK)
    assert light["ink"] != dark["ink"]
    assert light["paper"] != dark["paper"]


def test_a_phone_taps_a_point_and_nothing_scrolls_sideways(new_screen, prepared):
    screen = new_screen(**PHONE, device_scale_factor=3).open("map", **prepared.few)
    screen.drawn("chart-model")
    assert screen.page.evaluate(_SCROLL) == [0, 0]
    row = lonely(screen, "chart-model")
    screen.canvas("chart-model").scroll_into_view_if_needed()
    screen.page.touchscreen.tap(*screen.spot("chart-model", row))
    assert screen.drawn("chart-people")["met"] == row
    width, ratio = screen.canvas("chart-model").evaluate(
        "canvas => [canvas.width / canvas.clientWidth, devicePixelRatio]"
    )
    assert width == pytest.approx(ratio, abs=0.01)

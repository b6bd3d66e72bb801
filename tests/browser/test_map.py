"""The map in a real browser: addresses, mouse, keyboard, files."""

import io
import re
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from core.dataset.sets import load_or_read
from core.runtime.store import Store

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
expect = sync_api.expect

MAPS = ("chart-people", "chart-model")


def slider(screen: Any) -> Any:
    return screen.key("layer").get_by_role("slider")


def await_lit(screen: Any, key: str, wanted: Any) -> int:
    """Wait until as many points of a map are lit as wanted."""
    for _ in range(300):
        if wanted(screen.lit(key)):
            return screen.lit(key)
        screen.page.wait_for_timeout(100)
    pytest.fail(f"{key} shows {screen.lit(key)} lit points")


def shown(screen: Any) -> int:
    """Return how many rows the page says that its table has."""
    line = screen.page.get_by_text(re.compile(r"[\d,]+ of [\d,]+ actions"))
    expect(line).to_be_visible()
    found = re.search(r"([\d,]+) of", line.inner_text())
    assert found is not None
    return int(found[1].replace(",", ""))


def select_some(screen: Any) -> int:
    """Select by mouse on the human map; return how many."""
    total = screen.lit("chart-people")
    screen.box("chart-people")
    screen.await_query(sel="")
    expect(screen.text("Selection")).to_be_visible()
    screen.settle()
    count = await_lit(screen, "chart-people", lambda lit: 0 < lit < total)
    await_lit(screen, "chart-model", lambda lit: lit == count)
    return count


def test_the_very_first_visit_may_be_a_deep_link(serve, prepared, new_screen):
    with serve(prepared.cache) as url:
        screen = new_screen(url)
        wanted = {"layer": "0", "colour": "pole", "method": "axes", "x": "care"}
        screen.open("map", model=prepared.model, **wanted)
        expect(screen.page.get_by_role("heading", name="Map", level=1)).to_be_visible()
        expect(screen.canvas("chart-model")).to_be_visible()
        expect(screen.page.get_by_text("Page not found")).to_have_count(0)
        screen.settle()
        expect(slider(screen)).to_have_attribute("aria-valuetext", "0")
        expect(screen.page.get_by_role("radio", name="Moral axes")).to_be_checked()
        expect(screen.page.get_by_role("combobox", name="Colour")).to_have_value("Pole")
        assert wanted.items() <= screen.query().items()
        expect(screen.page.get_by_test_id("stSidebarNav").get_by_role("link")).to_have_count(11)
        screen.check()


def test_a_box_greys_the_rest_on_both_maps_fills_the_table_and_survives(few_map):
    everything = few_map.lit("chart-model")
    count = select_some(few_map)
    name = few_map.query()["sel"]
    assert count < everything
    assert shown(few_map) == count
    assert few_map.lit("chart-model") == count
    slider(few_map).press("ArrowRight")
    few_map.await_query(layer="2")
    few_map.choose("Colour", "Pole")
    few_map.await_query(colour="pole")
    few_map.settle()
    assert few_map.query()["sel"] == name
    for key in MAPS:
        await_lit(few_map, key, lambda lit: lit == count)
    assert shown(few_map) == count


def test_a_selection_comes_back_in_another_browser(few_map, new_screen):
    count = select_some(few_map)
    other = new_screen()
    other.page.goto(few_map.page.url)
    other.settle()
    for key in MAPS:
        await_lit(other, key, lambda lit: lit == count)
    assert shown(other) == count
    assert other.query()["sel"] == few_map.query()["sel"]


def test_a_selection_on_the_models_map_is_the_same_selection(few_map):
    total = few_map.lit("chart-model")
    few_map.box("chart-model")
    few_map.await_query(sel="")
    few_map.settle()
    count = await_lit(few_map, "chart-model", lambda lit: 0 < lit < total)
    await_lit(few_map, "chart-people", lambda lit: lit == count)
    assert shown(few_map) == count


def test_a_second_box_replaces_the_first_and_clear_takes_it_away(few_map):
    total = few_map.lit("chart-people")
    first = select_some(few_map)
    name = few_map.query()["sel"]
    few_map.box("chart-people", share=0.25)
    expect(few_map.page).not_to_have_url(re.compile(name))
    few_map.settle()
    second = await_lit(few_map, "chart-model", lambda lit: lit < first)
    assert shown(few_map) == second
    few_map.page.get_by_role("button", name="Clear selection").click()
    expect(few_map.page).not_to_have_url(re.compile("sel="))
    expect(few_map.text("All items")).to_be_visible()
    few_map.settle()
    for key in MAPS:
        await_lit(few_map, key, lambda lit: lit == total)
    few_map.choose("Colour", "Pole")  # a stale event of the chart must not bring it back
    few_map.await_query(colour="pole")
    few_map.settle()
    assert "sel" not in few_map.query()
    assert shown(few_map) == total


def test_escape_clears_the_selection_and_a_box_is_offered_where_there_is_one(few_map):
    total = few_map.lit("chart-people")
    select_some(few_map)
    few_map.page.keyboard.press("Escape")
    expect(few_map.page).not_to_have_url(re.compile("sel="))
    few_map.settle()
    for key in MAPS:
        await_lit(few_map, key, lambda lit: lit == total)
    expect(few_map.text("Drag a box")).to_be_visible()
    few_map.more()
    few_map.page.get_by_role("radio", name="3-D").click()
    few_map.await_query(dims="3")
    expect(few_map.text("Under More: 3-D")).to_be_visible()
    expect(few_map.text("choose 2-D")).to_be_visible()
    expect(few_map.text("Drag a box")).to_have_count(0)


@pytest.mark.parametrize("key", MAPS)
def test_a_double_click_on_a_map_clears_the_selection(few_map, key):
    total = few_map.lit("chart-people")
    select_some(few_map)
    few_map.page.wait_for_timeout(500)  # a click that follows a box at once counts as its second
    area = few_map.canvas(key).bounding_box()
    few_map.page.mouse.dblclick(area["x"] + area["width"] / 2, area["y"] + area["height"] / 2)
    expect(few_map.page).not_to_have_url(re.compile("sel="))
    few_map.settle()
    for one in MAPS:
        await_lit(few_map, one, lambda lit: lit == total)
    assert "sel" not in few_map.query()


def test_the_layer_moves_by_keyboard(few_map):
    slider(few_map).press("ArrowRight")
    few_map.await_query(layer="2")
    expect(few_map.text("layer 2")).to_be_visible()
    slider(few_map).press("ArrowLeft")
    slider(few_map).press("ArrowLeft")
    few_map.await_query(layer="0")
    expect(few_map.text("layer 0")).to_be_visible()


def test_search_rings_the_matches(few_map):
    few_map.type("Search the actions", "the")
    few_map.await_query(q="the")
    expect(few_map.text("contain")).to_be_visible()
    few_map.settle()
    rings = [few_map.drawn(key)["marked"] for key in MAPS]
    assert rings[0] == rings[1] > 0


def test_a_sentence_of_ones_own_lands_as_a_star_with_its_figures(few_map):
    few_map.type("Your own sentence", "Giving a lost child shelter")
    few_map.await_query(say="")
    for words in ("Cosine to the ten centres", "every layer", "Nearest actions"):
        expect(few_map.text(words)).to_be_visible()
    few_map.settle()
    for key in ("sentence-bands", "sentence-layers"):
        expect(few_map.chart(key).locator(".main-svg").first).to_be_visible()
    assert len(few_map.drawn("chart-model")["own"]) == 2
    few_map.page.reload()
    expect(few_map.text("Nearest actions")).to_be_visible()
    expect(few_map.page.get_by_role("textbox", name="Your own sentence")).to_have_value(
        "Giving a lost child shelter"
    )


def test_the_page_comes_back_after_a_reload(few_map):
    few_map.choose("Colour", "People minus model")
    few_map.await_query(colour="residual")
    few_map.page.get_by_role("radio", name="Moral axes").click()
    few_map.await_query(method="axes")
    few_map.choose("Horizontal axis", "loyalty − betrayal")
    few_map.await_query(x="loyalty-betrayal")
    few_map.settle()
    before = few_map.page.url
    few_map.page.reload()
    few_map.settle()
    expect(few_map.page.get_by_role("combobox", name="Horizontal axis")).to_have_value(
        "loyalty − betrayal"
    )
    expect(few_map.page.get_by_role("radio", name="Moral axes")).to_be_checked()
    assert few_map.page.url == before


def fetched(screen: Any, name: str) -> Path:
    with screen.page.expect_download() as started:
        screen.page.get_by_role("button", name=name, exact=True).click()
    path: Path = started.value.path()
    return path


def test_the_files_hold_what_is_shown(few_map):
    count = select_some(few_map)
    table = pd.read_csv(fetched(few_map, "CSV"))
    assert len(table) == count
    assert {"item", "text", "foundation", "pole", "grade", "model_typicality"} <= set(table)
    again = pd.read_parquet(io.BytesIO(fetched(few_map, "Parquet").read_bytes()))
    assert list(again["item"]) == list(table["item"])
    html = fetched(few_map, "Maps as HTML").read_text()
    assert html.count('class="plotly-graph-div"') == 2
    assert not re.search(r"<(script|link)[^>]*https?://", html)


def test_two_people_at_once_do_not_see_each_other(new_screen, prepared):
    first, second = new_screen(), new_screen()
    first.open("map", **prepared.few, layer="0")
    second.open("map", **prepared.few, layer="2", colour="pole")
    for screen, words in ((first, "Lying to a friend"), (second, "Feeding the hungry")):
        screen.type("Your own sentence", words)
    for screen in (first, second):
        expect(screen.text("Nearest actions")).to_be_visible()
    select_some(first)
    second.more()
    second.choose("Taken off the states first", "The mean alone (paper)")
    second.await_query(scaling="centred")
    assert "sel" not in second.query()
    assert first.query()["layer"] == "0"
    assert second.query()["layer"] == "2"
    assert "colour" not in first.query()
    assert second.query()["say"] == "Feeding the hungry"


def test_a_reading_is_watched_and_ends_in_a_map(few_map):
    # A template of its own: other tests let the control read with the usual one.
    template = "%7Baction%7D%20is%20a%20matter%20of"
    few_map.page.goto(f"{few_map.page.url}&template={template}")
    few_map.page.get_by_text("With random weights").click()
    few_map.await_query(untrained="1")
    few_map.page.get_by_role("button", name="Read").click()
    expect(few_map.canvas("chart-model")).to_be_visible()
    expect(few_map.text("untrained copy")).to_be_visible()


@pytest.mark.gemma
@pytest.mark.slow
@pytest.mark.usefixtures("gemma")  # unpacked once, into the cache that the server uses
def test_the_packaged_model_reads_by_itself(cache_root, few_spec, serve, new_screen):
    few = load_or_read(Store(cache_root), few_spec).digest[:12]
    with serve(cache_root) as url:
        screen = new_screen(url)
        screen.page.goto(f"{url}/map?layer=12&set={few}")
        # A server that has just begun compiles UMAP: 6 s, on busy cores ten times as long.
        screen.key("chart-people").locator("canvas[data-drawn]").wait_for(timeout=180_000)
        screen.key("chart-model").locator("canvas[data-drawn]").wait_for(timeout=180_000)
        expect(screen.text("layer 12")).to_be_visible()
        expect(screen.text("Same foundation")).to_be_visible()
        expect(screen.text("word counts")).to_be_visible()
        screen.settle()
        assert screen.query()["layer"] == "12"
        screen.check()

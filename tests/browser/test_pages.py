"""All pages in a real browser: phone, themes, names for screen readers, navigation, privacy."""

import re
from typing import Any

import pytest

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
expect = sync_api.expect

PAGES = ["", "data", "map"]
PHONE = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}

#: Elements that stick out of the window; a table may scroll within itself.
_WIDE = """() => [
    ...document.querySelectorAll('[data-testid=stMain] [class*=st-key-], h1, h2, h3, p')]
    .filter(one => one.getBoundingClientRect().right > window.innerWidth + 1
                   && one.getBoundingClientRect().width > 0)
    .map(one => one.className + ': ' + one.innerText.slice(0, 60))"""
_SCROLL = """() => [document.scrollingElement, document.querySelector('[data-testid=stMain]')]
    .map(one => one.scrollWidth - one.clientWidth)"""
_FILL = "one => getComputedStyle(one).fill"
_COLOURS = """() => {
    const style = getComputedStyle(document.querySelector('[data-testid=stApp]'));
    return [style.backgroundColor, style.color];
}"""


def go(screen: Any, name: str) -> None:
    screen.page.get_by_test_id("stSidebarNav").get_by_role("link", name=name).click()
    heading = "Moralscope" if name == "Overview" else name
    expect(screen.page.get_by_role("heading", name=heading, level=1)).to_be_visible()
    screen.settle()


def brightness(colour: str) -> float:
    red, green, blue = (int(one) for one in re.findall(r"\d+", colour)[:3])
    return (0.299 * red + 0.587 * green + 0.114 * blue) / 255


def test_a_phone_never_scrolls_sideways(new_screen, prepared):
    screen = new_screen(**PHONE)
    for page in PAGES:
        screen.open(page, **prepared.few)
        if page == "map":
            screen.drawn("chart-model")
        assert screen.page.evaluate(_SCROLL) == [0, 0], page
        assert screen.page.evaluate(_WIDE) == [], page


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_both_themes_can_be_read(new_screen, prepared, scheme):
    screen = new_screen(color_scheme=scheme).open("map", **prepared.few)
    screen.drawn("chart-model")
    ground, ink = (brightness(one) for one in screen.page.evaluate(_COLOURS))
    assert (ground > 0.8) == (scheme == "light")
    assert abs(ground - ink) > 0.6
    label = screen.chart("distribution").locator(".ytick text, .xtick text").first
    label.wait_for()
    assert abs(brightness(label.evaluate(_FILL)) - ground) > 0.35
    for name in ("Data", "Overview"):
        go(screen, name)
        assert brightness(screen.page.evaluate(_COLOURS)[0]) == ground


def test_every_chart_has_a_name_and_a_table_beside_it(screen, prepared):
    screen.open("map", **prepared.few, say="Lying to a friend")
    expect(screen.text("Nearest actions")).to_be_visible()
    screen.settle()
    check_names(screen, charts=3, maps=2, tables=2)
    go(screen, "Data")
    check_names(screen, charts=1, tables=2)


def check_names(screen: Any, charts: int, tables: int, maps: int = 0) -> None:
    plots = screen.page.locator(".js-plotly-plot")
    expect(plots).to_have_count(charts)
    figures = screen.page.get_by_role("figure", name=re.compile(r"\w{3,}"))
    expect(figures.filter(has=plots)).to_have_count(charts)
    expect(figures.filter(has=screen.page.locator("canvas.over"))).to_have_count(maps)
    frames = screen.page.get_by_test_id("stDataFrame")
    expect(frames.nth(tables - 1)).to_be_attached()  # they mount after their place is there
    named = screen.page.get_by_role("region", name=re.compile(r"\w{3,}"))
    expect(
        named.and_(frames).or_(named.filter(has=frames)).or_(frames.filter(has=named))
    ).not_to_have_count(0)


def test_choices_of_the_sidebar_hold_while_pages_change(screen, prepared):
    screen.open("map", **prepared.few)
    screen.page.get_by_text("With random weights").click()
    screen.await_query(untrained="1")
    for name in ("Data", "Overview", "Map"):
        go(screen, name)
        expect(screen.page.get_by_role("switch", name="With random weights")).to_be_checked()
        screen.await_query(**prepared.few, untrained="1")


def test_choices_of_the_map_hold_while_pages_change(screen, prepared):
    screen.open("map", **prepared.few, layer="2", colour="pole", q="the")
    go(screen, "Data")
    go(screen, "Map")
    screen.drawn("chart-model")
    screen.await_query(layer="2", colour="pole", q="the")
    expect(screen.page.get_by_role("combobox", name="Colour")).to_have_value("Pole")


@pytest.mark.parametrize(
    ("here", "there"), [("map", "Diagnosis"), ("diagnosis", "Map"), ("map", "Compare")]
)
@pytest.mark.parametrize("layer", [None, "2"])
def test_the_layer_holds_on_the_first_change_of_page(screen, prepared, here, there, layer):
    screen.open(here, **prepared.few, **({} if layer is None else {"layer": layer}))
    slider = screen.page.get_by_role("slider", name="Layer").first
    expect(slider).to_have_attribute("aria-valuetext", layer or "1")
    go(screen, there)
    screen.page.wait_for_timeout(1000)  # the browser tells what its widgets hold: a second run
    screen.settle()
    expect(slider).to_have_attribute("aria-valuetext", layer or "1")
    assert screen.query().get("layer") == layer
    if there != "Diagnosis":  # it names its layer once it is measured
        title = screen.page.get_by_test_id("stMain").get_by_text(re.compile(r"llama · layer \d$"))
        expect(title.first).to_contain_text(f"layer {layer or 1}")


def steps(screen: Any) -> int:
    """Return how many entries the tab's history has."""
    return int(screen.page.evaluate("history.length"))


def drawn(screen: Any, key: str) -> Any:
    """Return where the first points of a map are."""
    return screen.drawn(key)["places"]


def check_map(screen: Any, layer: str, model: str, where: Any) -> None:
    """Fail unless slider, title, picture and sidebar of a map say the same."""
    slider = screen.page.get_by_role("slider", name="Layer").first
    expect(slider).to_have_attribute("aria-valuetext", layer)
    title = screen.page.get_by_test_id("stMain").get_by_text(re.compile(r"llama · layer \d$"))
    expect(title.first).to_contain_text(f"layer {layer}")
    expect(screen.page.get_by_role("combobox", name="Model")).to_have_value(model)
    assert drawn(screen, "chart-model") == where


def test_back_and_forward_bring_a_page_as_it_was_left(screen, prepared):
    screen.open("map", **prepared.few)
    screen.drawn("chart-model")
    begin = steps(screen)
    model = screen.page.get_by_role("combobox", name="Model").input_value()
    screen.page.get_by_role("slider", name="Layer").first.press("ArrowRight")
    screen.await_query(layer="2").settle()
    screen.choose("Colour", "Pole")
    screen.await_query(colour="pole").settle()
    assert steps(screen) == begin  # settings replace
    screen.page.wait_for_timeout(500)
    left, second = dict(screen.query()), drawn(screen, "chart-model")

    go(screen, "Compare")
    expect(screen.page).to_have_url(re.compile("/compare"))
    screen.page.get_by_role("slider", name="Layer").first.press("Home")
    screen.await_query(layer="emb").settle()
    go(screen, "Data")
    expect(screen.page).to_have_url(re.compile("/data"))
    screen.choose("Model", "Qwen3-0.6B")
    screen.await_query(model="hub:Qwen/Qwen3-0.6B@main").settle()
    assert steps(screen) == begin + 2  # pages push

    screen.page.go_back()
    expect(screen.page.get_by_role("heading", name="Compare", level=1)).to_be_visible()
    layer = screen.page.get_by_role("slider", name="Layer").first
    expect(layer).to_have_attribute("aria-valuetext", "emb")
    expect(screen.page.get_by_role("combobox", name="Model")).to_have_value(model)
    assert screen.settle().query()["layer"] == "emb"

    screen.page.go_back()
    expect(screen.page.get_by_role("heading", name="Map", level=1)).to_be_visible()
    check_map(screen, "2", model, second)
    expect(screen.page.get_by_role("combobox", name="Colour")).to_have_value("Pole")
    screen.page.wait_for_timeout(1000)  # the browser tells what its widgets hold: a second run
    check_map(screen.settle(), "2", model, second)
    assert screen.query() == left

    screen.page.go_forward()
    expect(screen.page.get_by_role("heading", name="Compare", level=1)).to_be_visible()
    expect(layer).to_have_attribute("aria-valuetext", "emb")
    screen.page.go_forward()
    expect(screen.page.get_by_role("heading", name="Data", level=1)).to_be_visible()
    expect(screen.page.get_by_role("combobox", name="Model")).to_have_value("Qwen3-0.6B")
    assert steps(screen) == begin + 2


def test_two_pages_in_haste_leave_each_entry_its_own_address(screen, prepared):
    screen.open("map", **prepared.few, colour="pole")
    screen.drawn("chart-model")
    links = screen.page.get_by_test_id("stSidebarNav")
    for name in ("Data", "Map", "Overview"):
        links.get_by_role("link", name=name).click()
    expect(screen.page.get_by_role("heading", name="Moralscope", level=1)).to_be_visible()
    screen.settle().choose("Model", "Qwen3-0.6B")  # no address waits for a page any more
    screen.await_query(model="hub:Qwen/Qwen3-0.6B@main")
    assert "colour" not in screen.query()


def test_a_button_to_another_page_is_one_step_and_back_undoes_it(screen, prepared):
    screen.open("", **prepared.few)
    begin = steps(screen)
    screen.page.get_by_role("button", name="Open the moral map").click()
    screen.drawn("chart-model")
    screen.await_query(**prepared.few).settle()
    assert screen.query() == prepared.few
    assert steps(screen) == begin + 1
    screen.page.go_back()
    expect(screen.page.get_by_role("heading", name="Moralscope", level=1)).to_be_visible()
    screen.settle()
    assert screen.query() == prepared.few


def test_one_button_begins(screen, prepared):
    screen.open("", **prepared.few)
    screen.page.get_by_role("button", name="Open the moral map").click()
    expect(screen.page.get_by_role("heading", name="Map", level=1)).to_be_visible()
    screen.drawn("chart-model")
    screen.await_query(**prepared.few)


#: Some steps of the tour, and what the address holds afterwards.
_STEPS: list[tuple[int, str, dict[str, str]]] = [
    (2, "Map", {"colour": "residual"}),
    (4, "Compare", {}),
    (6, "Steer", {"care-harm": "10"}),
    (7, "Data", {}),
]


@pytest.mark.parametrize(("step", "title", "wanted"), _STEPS, ids=lambda one: str(one)[:24])
def test_a_step_of_the_tour_lands_with_its_settings(screen, prepared, step, title, wanted):
    screen.open("", **prepared.few)
    screen.key(f"tour-{step}").get_by_role("button").click()
    expect(screen.page.get_by_role("heading", name=title, level=1)).to_be_visible()
    screen.await_query(**prepared.few, **wanted)


def test_a_table_is_uploaded_read_and_used(screen, prepared):
    screen.open("data", **prepared.few)
    rows = "\n".join(f"helping neighbour {n},care-harm,{n % 5 - 2},4" for n in range(20))
    screen.page.get_by_label("Table").locator("input[type=file]").set_input_files(
        {
            "name": "mine.csv",
            "mimeType": "text/csv",
            "buffer": f"action,foundation,judgement,agreement\n{rows}\n".encode(),
        }
    )
    screen.page.get_by_role("button", name="Read the table").click()
    screen.page.get_by_role("button", name="Use it now").click()
    expect(screen.page.get_by_role("heading", name="mine")).to_be_visible()
    expect(screen.page).not_to_have_url(re.compile(prepared.few["set"]))


def test_an_address_without_a_page_still_leads_into_the_app(screen):
    screen.page.goto(f"{screen.url}/nowhere")
    expect(screen.page.get_by_test_id("stSidebarNav").get_by_role("link")).to_have_count(11)
    screen.settle()
    # Only of an address that is no page's does Streamlit ask below it where its server is.
    expected = ("does not seem to exist", f"{screen.url}/nowhere/_stcore/")
    assert all(any(one in told for one in expected) for told in screen.troubles)
    screen.troubles.clear()

"""Every page: it opens, it survives any address, and its choices hold on the others."""

import re
from itertools import permutations
from typing import Any

import pytest

from tests.pages.atlases import maps
from tests.pages.conftest import ROUTER

PAGES = ["", "data", "map"]
TITLES = {"": "Moralscope", "data": "Data", "map": "Map"}
#: One clear sentence, perhaps with one of advice; not a dump.
LONGEST = 400


@pytest.mark.parametrize("page", PAGES)
def test_a_page_opens_on_an_empty_cache(open_page, model_text, complaints, page):
    app = open_page(page, model=model_text)
    assert complaints(app) == []
    assert app.title[0].value == TITLES[page]


@pytest.mark.parametrize("page", PAGES)
def test_a_page_opens_on_a_full_cache(open_read, complaints, page):
    app = open_read(page)
    assert complaints(app) == []
    assert app.title[0].value == TITLES[page]


@pytest.mark.parametrize("page", PAGES)
def test_every_chart_and_table_has_a_name(open_read, page):
    app = open_read(page)
    charts = app.get("plotly_chart")
    assert len(charts) == {"": 0, "data": 1, "map": 1}[page]
    assert all(len(chart.proto.alt) > 20 for chart in charts)
    assert all(len(one["alt"]) > 20 for one in maps(app).values())
    assert len(maps(app)) == {"": 2, "data": 0, "map": 2}[page]
    assert app.dataframe, "what a chart shows must stand in a table too"
    assert all(len(table.proto.alt) > 10 for table in app.dataframe)


def test_the_model_card_tells_that_states_were_checked(open_read):
    told = [one.value for one in open_read("map").markdown]
    assert any("**States** checked against transformers: " in text for text in told)


HARMLESS = [
    {"layer": "999"},
    {"layer": "-7"},
    {"layer": "1; drop table"},
    {"method": "foo"},
    {"method": ""},
    {"dims": "7"},
    {"dims": "3", "method": "axes"},
    {"colour": "ultraviolet"},
    {"colour": ["pole", "grade"]},
    {"pooling": "max"},
    {"scaling": "huge"},
    {"method": "axes", "x": "north", "y": "south"},
    {"untrained": "maybe"},
    {"preset": "foo"},
    {"sel": "unknown"},
    {"sel": "../../../etc/passwd"},
    {"q": "(((" * 30},
    {"unheard_of": "1"},
    {"template": ""},
]


@pytest.mark.parametrize("query", HARMLESS, ids=str)
def test_an_impossible_value_in_the_address_is_as_good_as_none(open_map, complaints, query):
    app = open_map(**query)
    assert complaints(app) == []
    assert len(maps(app)) == 2


REFUSED = [
    ({"model": "nonsense"}, "nonsense"),
    ({"model": ""}, None),
    ({"model": "hub:nobody/no-such-model"}, "no-such-model"),
    ({"model": "folder:/no/such/folder"}, "/no/such/folder"),
    ({"model": "gguf:/no/such/file.gguf"}, "/no/such/file.gguf"),
    ({"model": "packaged?untrained=x"}, "untrained"),
    ({"template": "no place for it"}, "{action}"),
    ({"template": "{action} and {action}"}, "{action}"),
]


@pytest.mark.parametrize(("query", "named"), REFUSED, ids=str)
def test_what_cannot_be_read_gets_one_clear_sentence(open_read, complaints, query, named):
    app = open_read("map", **query)
    told = complaints(app)
    if named is None:
        return
    assert len(told) == 1
    assert named in told[0]
    assert len(told[0]) < LONGEST
    assert "Traceback" not in told[0]
    next(one for one in app.button if one.label == "Back to the built-in model").click()
    assert app.run().selectbox(key="model").value == "packaged"


@pytest.mark.parametrize("page", ["", "data"])
@pytest.mark.parametrize("query", [REFUSED[0][0], REFUSED[3][0], REFUSED[-1][0]], ids=str)
def test_other_pages_do_not_mind_a_model_that_cannot_be_read(open_read, complaints, page, query):
    assert complaints(open_read(page, **query)) == []


def test_the_human_map_is_shown_whatever_the_model(open_read):
    app = open_read("map", model="nonsense")
    assert list(maps(app)) == ["chart-people"]
    assert len(app.dataframe) == 1


def test_choices_of_the_sidebar_hold_on_every_page(open_read, model_text):
    app = open_read("map", template="{action} is plainly")
    app.switch_page("../data/page.py").run()
    app.switch_page("../map/page.py").run()
    assert app.selectbox(key="model").value == model_text
    assert app.text_input(key="template").value == "{action} is plainly"
    assert app.query_params["template"] == "{action} is plainly"


#: A setting that pages share: its kind of widget, a value that is not the first one, the pages.
SHARED: dict[str, tuple[str, str, tuple[str, ...]]] = {
    "layer": ("select_slider", "2", ("map", "diagnosis", "compare")),
    "pooling": ("selectbox", "last", ("map", "diagnosis", "compare")),
    "scaling": ("selectbox", "raw", ("map", "compare")),
}
PAIRS = sorted({pair for _, _, pages in SHARED.values() for pair in permutations(pages, 2)})


@pytest.mark.parametrize(("here", "there"), PAIRS)
def test_what_is_set_on_one_page_is_the_same_on_the_next(open_read, complaints, here, there):
    app = open_read(here)
    held = {key: one for key, one in SHARED.items() if {here, there} <= set(one[2])}
    for key, (kind, value, _) in held.items():
        getattr(app, kind)(key=key).set_value(value).run()
    app.switch_page(f"../{there}/page.py").run()
    for key, (kind, _, _) in held.items():  # else a browser would begin with the first option
        assert getattr(app, kind)(key=key).proto.set_value, key
    for _ in range(2):
        assert complaints(app) == []
        for key, (kind, value, _) in held.items():
            assert (key, getattr(app, kind)(key=key).value) == (key, value)
            assert app.query_params[key] in (value, [value])
        app.run()


@pytest.mark.parametrize(("here", "there"), PAIRS)
def test_the_layer_that_a_page_begins_with_is_that_of_the_next(open_read, here, there):
    app = open_read(here)
    first = app.select_slider(key="layer").value
    app.switch_page(f"../{there}/page.py").run()
    assert app.select_slider(key="layer").value == first == "1"
    assert app.select_slider(key="layer").proto.set_value
    assert "layer" not in app.query_params


def test_no_key_of_the_address_means_one_thing_here_and_another_there():
    bound = re.compile(r"""bound\(\s*"([^"]+)\"""")
    pages: dict[str, set[str]] = {}
    for path in (ROUTER.parents[1]).rglob("*.py"):
        for key in bound.findall(path.read_text(encoding="utf-8")):
            pages.setdefault(key, set()).add(path.parent.name)
    assert {key for key, some in pages.items() if len(some) > 1} == {"prompt"}  # one and the same


@pytest.mark.parametrize(
    "query", [{"by": "architecture"}, {"how": "means"}, {"group": "token"}, {"alike": "means"}]
)
def test_an_address_of_before_and_a_value_of_another_page_open_with_the_default(
    open_read, complaints, query
):
    app = open_read("leaderboard", **query)
    assert complaints(app) == []
    app.switch_page("../steer/page.py").run()
    assert complaints(app) == []
    app = open_read("steer", dose="harm")
    assert complaints(app) == []


@pytest.mark.parametrize("page", ["data", "map"])
@pytest.mark.parametrize("name", ["0123456789ab", "zzz", "../../etc/passwd", ""])
def test_a_set_that_is_not_there_falls_back_to_the_built_in_one(open_read, complaints, page, name):
    app = open_read(page, set=name)
    assert complaints(app) == []
    assert "set" not in app.query_params
    assert app.selectbox(key="set").value == "builtin"


def test_the_overview_says_what_is_stored_and_clears_it(open_read, work, complaints):
    app = open_read("")
    assert any(re.search(r"GB in .*cache", one.value) for one in app.caption)
    held = sum(one.kind == "acts" for one in work.store.artefacts())
    assert held
    app.selectbox(key="clear-kind").set_value("acts").run()
    app.button(key="clear-button").click().run()
    assert complaints(app) == []
    assert not any(one.kind == "acts" for one in work.store.artefacts())


def test_the_button_of_the_overview_opens_the_map(open_read, complaints):
    app = open_read("")
    next(one for one in app.button if "map" in one.label).click().run()
    assert complaints(app) == []
    assert app.title[0].value == "Map"


def test_the_overview_draws_peoples_map_at_once_and_offers_to_let_the_model_read(
    open_page, model_text, work, complaints
):
    app = open_page("", model=model_text)
    assert complaints(app) == []
    assert list(maps(app)) == ["chart-people"]
    assert not work.runner.jobs()  # nothing begins unasked
    next(one for one in app.button if "Let it read" in one.label).click().run()
    for job in work.runner.jobs():
        job.wait(120)
    app.run()
    assert complaints(app) == []
    shown = maps(app)
    assert list(shown) == ["chart-people", "chart-model"]
    assert all(one["small"] and "licence" in one["source"] for one in shown.values())


def test_the_tour_is_walked_from_page_to_page_and_ended(open_read, complaints):
    app = open_read("")
    app.button(key="tour-2").click().run()
    assert app.query_params["step"] in ("3", ["3"])
    titles = []
    while [one for one in app.button if one.key == "tour-next"]:
        app.button(key="tour-next").click().run()
        assert complaints(app) == []
        titles.append(app.title[0].value)
    assert titles == ["Map", "Compare", "Features", "Steer", "Data"]
    app.button(key="tour-back").click().run()
    assert app.title[0].value == "Steer"
    for _ in range(5):
        app.button(key="tour-back").click().run()
    assert app.select_slider(key="layer").value == "emb"  # the second step shows it
    app.button(key="tour-next").click().run()
    assert app.select_slider(key="layer").value != "emb"
    app.button(key="tour-end").click().run()
    assert not [one for one in app.button if str(one.key).startswith("tour-")]
    assert "step" not in app.query_params


def _tour_buttons(app: Any) -> list[str]:
    return [one.key for one in app.button if str(one.key).startswith("tour-")]


def test_every_step_of_the_tour_lands_with_its_settings(open_read, complaints):
    keys = _tour_buttons(open_read(""))
    landed: dict[str, Any] = {}
    for key in keys:
        app = open_read("")
        app.button(key=key).click().run()
        assert complaints(app) == []
        assert app.title[0].value in ("Map", "Data", "Compare", "Features", "Steer")
        landed |= app.query_params
    assert {"layer", "colour", "say", "care-harm"} <= set(landed)

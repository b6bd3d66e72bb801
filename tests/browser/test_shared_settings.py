"""What is set on one page is the same on every other: a walk over all pairs in one tab."""

from typing import Any, Final

import pytest

from core.activations.jobs import reading, study_of, untrained

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
expect = sync_api.expect

PAGES: Final = (
    "Map",
    "Diagnosis",
    "Compare",
    "Steer",
    "Features",
    "Data",
    "Overview",
    "Leaderboard",
)
#: Pages with a slider of layers and a box of poolings.
LAYERED: Final = ("Map", "Diagnosis", "Compare")
SIDEBAR: Final = ("model", "set", "untrained")
#: Whether the address holds just these of what pages share.
_HOLDS = """wanted => {
    const held = new URLSearchParams(location.search);
    return ['model', 'set', 'untrained', 'layer', 'pooling'].every(
        key => held.get(key) === (wanted[key] ?? null));
}"""


@pytest.fixture(scope="module")
def both_read(prepared):
    """Return the query of a set that the tiny Llama and its untrained copy have read."""
    from core.activations.prompts import ReadSpec
    from core.models.spec import ModelSpec
    from core.workbench import Workbench

    work = Workbench.at(prepared.cache)
    study = study_of(
        work, work.items(prepared.few["set"]), ModelSpec.parse(prepared.model), ReadSpec()
    )
    reading(work, untrained(work, study)).get()
    return prepared.few


def walk() -> list[str]:
    """Return pages in an order in which each follows each other one, both ways."""
    return [
        page
        for number, here in enumerate(PAGES)
        for there in PAGES[number + 1 :]
        for page in (here, there)
    ]


class Walker:
    """One tab, and what it must show on each page."""

    def __init__(self, screen: Any, query: dict[str, str]) -> None:
        self.screen = screen
        self.query = dict(query)
        self.seen: dict[tuple[str, ...], str] = {}
        self.set_name = screen.page.get_by_role(
            "combobox", name="Actions and their labels"
        ).input_value()
        self.model = screen.page.get_by_role("combobox", name="Model", exact=True).input_value()

    def go(self, name: str) -> None:
        page = self.screen.page
        page.get_by_test_id("stSidebarNav").get_by_role("link", name=name).click()
        heading = "Moralscope" if name == "Overview" else name
        expect(page.get_by_role("heading", name=heading, level=1)).to_be_visible()
        self.screen.settle()

    def check(self, name: str) -> None:
        """Fail unless sidebar, slider, box, title, picture and address agree with what was set."""
        page, told = self.screen.page, self.screen.page.get_by_role
        sets, models = "Actions and their labels", "Model"
        expect(told("combobox", name=sets)).to_have_value(self.set_name)
        expect(told("combobox", name=models, exact=True)).to_have_value(self.model)
        copy = "untrained" in self.query
        expect(told("switch", name="With random weights")).to_be_checked(checked=copy)
        wanted = dict(self.query)
        if name not in LAYERED:
            wanted = {key: value for key, value in wanted.items() if key in SIDEBAR}
        else:
            layer = self.query.get("layer", "1")
            slider = told("slider", name="Layer").first
            expect(slider).to_have_attribute("aria-valuetext", layer)
            pooling = str("pooling" in self.query)
            main = page.get_by_test_id("stMain")
            told_of = main.get_by_text("Under More: Its last word")
            expect(told_of).to_have_count(int("pooling" in self.query))
            if name != "Diagnosis":  # it names its layer once it is measured
                expect(main.get_by_text(f"· layer {layer}").first).to_be_visible()
            if name == "Map":
                self.check_picture(layer, pooling, str(copy))
        page.wait_for_function(_HOLDS, arg=wanted)

    def check_picture(self, *settings: str) -> None:
        """Fail unless the map is drawn as it was with the same settings, else anew."""
        self.screen.settle()
        chart = self.screen.key("chart-model")
        expect(chart).to_have_count(1)  # a new one comes before the old one goes
        points = str(self.screen.drawn("chart-model")["places"])
        assert self.seen.setdefault(settings, points) == points
        assert len(set(self.seen.values())) == len(self.seen)

    def change(self, name: str, turn: int) -> None:
        """Set something on a page: the layer, the pooling or the untrained copy, in turn."""
        told = self.screen.page.get_by_role
        if name in LAYERED and turn % 3 == 0:
            now = self.query.pop("layer", None)
            told("slider", name="Layer").first.press("ArrowLeft" if now else "ArrowRight")
            if now is None:
                self.query["layer"] = "2"
        elif name in LAYERED and turn % 3 == 1:
            now = self.query.pop("pooling", None)
            self.screen.more()
            option = "All its words together" if now else "Its last word"
            self.screen.choose("What stands for a text", option)
            self.screen.more()
            if now is None:
                self.query["pooling"] = "last"
        else:
            self.screen.page.get_by_text("With random weights").click()
            if self.query.pop("untrained", None) is None:
                self.query["untrained"] = "1"


def test_what_is_set_on_one_page_is_the_same_on_every_other(screen, both_read):
    screen.open("map", **both_read)
    walker = Walker(screen, both_read)
    walker.check("Map")
    for turn, name in enumerate(walk()[1:]):
        walker.go(name)
        walker.check(name)
        walker.change(name, turn)
        walker.check(name)

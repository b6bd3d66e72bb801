"""Fixtures of the page tests: the app without a browser, each test with a cache of its own."""

import functools
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest
from streamlit.util import calc_hash

from core.activations.jobs import reading, study_of

if TYPE_CHECKING:
    from core.dataset.items import Items
    from core.workbench import Workbench

ROUTER = Path(__file__).resolve().parents[2] / "pages" / "shared" / "router.py"
#: A page on two busy cores, with the first import of torch.
PATIENCE = 120

OpenPage = Callable[..., AppTest]


@pytest.fixture(autouse=True, scope="session")
def _components() -> Iterator[None]:
    """Let Streamlit search the installed packages for components once, not for every page."""
    from streamlit.components.v2 import manifest_scanner

    once = functools.cache(manifest_scanner.scan_component_manifests)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(manifest_scanner, "scan_component_manifests", once)
        yield


@pytest.fixture(scope="session")
def model_text(tiny_llama_folder: Path) -> str:
    """Return the tiny Llama as the address bar names it."""
    return f"folder:{tiny_llama_folder}"


class Read(NamedTuple):
    """A cache in which the tiny Llama has read a small set. Copy it, do not use it."""

    root: Path
    """Its folder."""

    set_name: str
    """Name of the set in the address bar."""


@pytest.fixture(scope="session")
def read(tmp_path_factory: pytest.TempPathFactory, model_text: str) -> Read:
    """Return a cache with every tenth built-in action, read by the tiny Llama."""
    from core.activations.prompts import ReadSpec
    from core.dataset.sets import BUILTIN_FILE, ItemSpec
    from core.models.spec import ModelSpec
    from core.workbench import Workbench

    folder = tmp_path_factory.mktemp("read")
    head, *lines = BUILTIN_FILE.read_text(encoding="utf-8").splitlines()
    table = folder / "few.tsv"
    table.write_text("\n".join([head, *lines[::10]]) + "\n", encoding="utf-8")
    work = Workbench.at(folder / "cache")
    added = work.add_items(ItemSpec("file", table, name="Few actions"))
    added.wait(PATIENCE)
    assert added.state == "done", added.error
    job = work.runner.ensure(
        reading(work, study_of(work, added.result, ModelSpec.parse(model_text), ReadSpec()))
    )
    job.wait(PATIENCE)
    assert job.state == "done", job.error
    return Read(work.store.root, added.result.digest[:12])


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Point the app at an empty cache and forget what earlier tests left in memory."""
    folder = tmp_path / "cache"
    monkeypatch.setenv("MORALSCOPE_CACHE", str(folder))
    st.cache_resource.clear()
    st.cache_data.clear()
    yield folder
    work = _workbench()
    for job in work.runner.jobs():
        job.cancel()
    for job in work.runner.jobs():
        job.wait(PATIENCE)
    st.cache_resource.clear()
    st.cache_data.clear()


def _workbench() -> "Workbench":
    from pages.shared.bench import workbench

    work: Workbench = workbench()
    return work


@pytest.fixture
def work(root: Path) -> "Workbench":
    """Return the workbench that the pages of this test use."""
    found = _workbench()
    assert found.store.root == root
    return found


@pytest.fixture
def open_page(root: Path) -> OpenPage:
    """Return a function that opens a page with some query parameters, and runs it."""

    def opened(page: str, **query: str) -> AppTest:
        app = AppTest.from_file(ROUTER, default_timeout=PATIENCE)
        app.query_params.update(query)
        if page:
            # switch_page goes by the file's name until the first run: all of ours are page.py.
            app._page_hash = calc_hash(page)
        return app.run()

    return opened


@pytest.fixture
def open_read(read: Read, root: Path, model_text: str, open_page: OpenPage) -> OpenPage:
    """Return a function that opens a page where the tiny Llama has read a small set."""
    shutil.copytree(read.root, root)

    def opened(page: str, **query: Any) -> AppTest:
        return open_page(page, **{"model": model_text, "set": read.set_name, **query})

    return opened


@pytest.fixture
def open_map(open_read: OpenPage) -> OpenPage:
    """Return a function that opens the map of a small set that the tiny Llama has read."""

    def opened(**query: Any) -> AppTest:
        return open_read("map", **query)

    return opened


@pytest.fixture
def open_steer(open_read: OpenPage, work: "Workbench") -> OpenPage:
    """Return a function that opens the steering page and waits until the model is open."""
    from tests.pages.steer.steerpages import SHORT, settle

    def opened(**query: Any) -> AppTest:
        app = open_read("steer", **{**SHORT, **query})
        settle(work)
        return app.run()

    return opened


@pytest.fixture
def few(open_map: OpenPage, work: "Workbench", read: Read) -> "Items":
    """Return the small set that ``open_map`` shows."""
    del open_map  # it puts the cache into place
    return work.items(read.set_name)


@pytest.fixture
def complaints() -> Callable[[AppTest], list[str]]:
    """Return a function that lists what a page complains about; an exception fails the test."""

    def listed(app: AppTest) -> list[str]:
        assert not app.exception, [(one.message, one.stack_trace) for one in app.exception]
        return [str(one.value) for one in (*app.error, *app.warning)]

    return listed

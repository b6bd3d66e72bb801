"""Moralscope: the server. Run with ``streamlit run app.py``.

The routes are in ``pages/shared/router.py``. They are not here because Streamlit takes a folder
``pages/`` beside its main script for its old automatic pages, and answers the very first visit, if
it is a deep link, with "Page not found".
"""

import os

# libgomp spins while it waits: with one other busy process torch runs six times slower. Must be
# set before torch is imported.
os.environ.setdefault("GOMP_SPINCOUNT", "1000")

import sys
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib import import_module
from pathlib import Path

import streamlit as st
from starlette.requests import Request
from starlette.responses import HTMLResponse
from starlette.routing import Route

#: Imported while the visitor reads the overview.
LATER = ("plotly.graph_objects", "sklearn.decomposition", "sklearn.manifold", "nnsight")


def warm_up() -> None:
    """Import, and compile, what the first visit would wait for."""
    for name in LATER:
        import_module(name)
    import_module("core.maps.projection").warm_up()


@asynccontextmanager
async def lifespan(_: st.App) -> AsyncIterator[None]:
    """Import torch and transformers before the first visit, the rest beside it.

    transformers swaps its own module while it loads: a page and a job that import it at the same
    time find it half made ("cannot import name 'CONFIG_MAPPING'").
    """
    import_module("torch")
    import_module("transformers.models.auto")
    threading.Thread(target=warm_up, name="warm-up", daemon=True).start()
    yield


ROUTER = Path(__file__).resolve().parent / "pages" / "shared" / "router.py"

#: Where the server is, for Streamlit's script: at the place from which the page takes its files.
#: From a deep link it would look below the link's path first: two errors in the console.
_SERVER = """<head>
<script>window.__streamlit = {BACKEND_BASE_URL: new URL(".", document.baseURI).href}</script>"""


async def deep_link(_: Request) -> HTMLResponse:
    """Return Streamlit's own first page, told where the server is."""
    index = Path(st.__file__).with_name("static") / "index.html"
    html = index.read_text(encoding="utf-8").replace("<head>", _SERVER, 1)
    return HTMLResponse(html, headers={"Cache-Control": "no-cache"})


LINKS = [Route(f"/{page.parent.name}", deep_link) for page in ROUTER.parents[1].glob("*/page.py")]

# Streamlit puts the script's folder in front of sys.path for every run and takes it out afterwards.
# A job that imports meanwhile walks a list that moves under it and misses an entry: "No package
# metadata was found for transformers". A folder that is there for good is left alone.
sys.path.append(str(ROUTER.parent))

app = st.App(ROUTER, lifespan=lifespan, routes=LINKS)

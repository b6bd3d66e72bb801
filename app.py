"""Moralscope: the server. Run with ``streamlit run app.py``.

The routes are in ``pages/parts/router.py``. They are not here because Streamlit takes a folder
``pages/`` beside its main script for its old automatic pages, and answers the very first visit, if
it is a deep link, with "Page not found".
"""

import os

# libgomp spins while it waits: with one other busy process torch runs six times slower. Must be
# set before torch is imported.
os.environ.setdefault("GOMP_SPINCOUNT", "1000")

from pathlib import Path

import streamlit as st

app = st.App(Path(__file__).resolve().parent / "pages" / "parts" / "router.py")

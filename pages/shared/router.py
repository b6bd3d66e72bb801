"""Script: the frame around every page, and which page the address names."""

from pathlib import Path

import streamlit as st

from pages.shared import address, frame, routes, sidebar, tour

# A file of ours: named icons and emoji would be fetched from another machine.
ICON = Path(__file__).resolve().parent / "icon.png"

st.set_page_config(page_title="Moralscope", page_icon=ICON, layout="wide")
page = st.navigation(routes.sections())
frame.style()
with address.visit(page.url_path):
    routes.go_on()
    sidebar.show()
    tour.bar(page.url_path)
    page.run()

"""Script: the frame around every page, and which page the address names."""

import streamlit as st

from pages.parts import frame, routes, sidebar

st.set_page_config(page_title="Moralscope", page_icon=":material/explore:", layout="wide")
page = st.navigation(
    {"Start": [routes.overview(), routes.data()], "Explore": [routes.map_page()]},
)
frame.style()
sidebar.show()
page.run()

"""Page: the actions and their human labels; bring your own."""

import streamlit as st

from pages.data import item_set, open_pack, sources
from pages.shared import bench, frame, sidebar

frame.heading(
    "Data",
    "What people say about actions: which moral foundation, virtue or vice, how strongly. Ten "
    "numbers per action follow from it.",
)
with frame.told():
    items = bench.items(sidebar.set_name())
    item_set.summary(items)
    item_set.strata(items)
    item_set.browse(items)

st.subheader("Bring data")
with frame.told():
    sources.show()

st.subheader("Open a pack", anchor="pack")
with frame.told():
    open_pack.open_one()

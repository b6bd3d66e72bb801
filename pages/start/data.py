"""Page: the actions and their human labels; bring your own."""

import streamlit as st

from pages.parts import bench, frame, itemset, packopen, sidebar, sources

frame.heading(
    "Data",
    "What people say about actions: which moral foundation, virtue or vice, how strongly. Ten "
    "numbers per action follow from it.",
)
with frame.told():
    items = bench.items(sidebar.set_name())
    itemset.summary(items)
    itemset.strata(items)
    itemset.browse(items)

st.subheader("Bring data")
with frame.told():
    sources.show()

st.subheader("Open a pack", anchor="pack")
with frame.told():
    packopen.open_one()

"""Page: the actions and their human labels; bring your own."""

import streamlit as st

from core import CoreError
from pages.parts import bench, frame, itemset, sidebar, sources

frame.heading(
    "Data",
    "What people say about actions: which moral foundation, virtue or vice, how strongly. Ten "
    "numbers per action follow from it.",
)
try:
    items = bench.items(sidebar.set_name())
    itemset.summary(items)
    itemset.strata(items)
    itemset.browse(items)
except CoreError as error:
    st.error(str(error))

st.subheader("Bring data")
try:
    sources.show()
except CoreError as error:
    st.error(str(error))

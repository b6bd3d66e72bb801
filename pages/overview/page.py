"""Page: what this is, where to begin, what is stored."""

import streamlit as st

from pages.overview import storage, tour
from pages.shared import frame, routes

st.title("Moralscope")
st.html(
    "<p class='ms-lead'>How does a language model arrange right and wrong? Moralscope lays human "
    "moral judgements and a model's inner states side by side, measures the difference at every "
    "layer, and puts each figure next to what chance and mere words would give.</p>"
)
row = st.container(horizontal=True)
if row.button("Open the moral map", type="primary", icon=":material/play_arrow:"):
    routes.open_page("map")
if row.button("Diagnose the model", icon=":material/stethoscope:"):
    routes.open_page("diagnosis")
if row.button("Steer it live", icon=":material/tune:"):
    routes.open_page("steer")
st.caption(
    "The packaged model, Gemma 3 270M, reads 1,640 everyday actions in about a minute, on this "
    "machine. Nothing leaves it."
)

tour.show()

st.subheader("What is stored here")
with frame.told():
    storage.show()

st.subheader("What this cannot show")
st.markdown(
    "- A model that separates care from harm does not thereby *care*; a model that does not may "
    "still answer well. These are measurements of representations, not of character.\n"
    "- Ten dimensions from one theory (Moral Foundations) and one language are one view of "
    "morality, not morality.\n"
    "- The built-in actions were written and graded for this project by its authors, not by "
    "annotators. Load Social-Chemistry-101 on the Data page for human labels.\n"
    "- Some actions describe cruelty, betrayal or filth, because vice has to be measured too."
)

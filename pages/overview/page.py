"""Page: what this is, where to begin, what is stored."""

import streamlit as st

from pages.overview import preview, storage
from pages.shared import frame, routes, sidebar, tour

frame.heading(
    "Moralscope",
    "How does a language model arrange right and wrong? People's judgements and the model's inner "
    "states, side by side.",
    sidebar.set_name(),
)
row = st.container(horizontal=True, gap="small")
for label, page, icon in (
    ("Open the moral map", "map", "play_arrow"),
    ("Steer it live", "steer", "tune"),
    ("Diagnose the model", "diagnosis", "stethoscope"),
):
    if row.button(
        label, type="primary" if page == "map" else "secondary", icon=f":material/{icon}:"
    ):
        routes.open_page(page)
maps = None
with frame.told():
    maps = preview.show()
tour.chips()

with st.expander("What this cannot show"):
    st.markdown(
        "- A model that separates care from harm does not thereby *care*; a model that does not "
        "may still answer well. These are measurements of representations, not of character.\n"
        "- Ten dimensions from one theory (Moral Foundations) and one language are one view of "
        "morality, not morality.\n"
        "- The built-in actions were written and graded for this project by its authors, not by "
        "annotators. Load Social-Chemistry-101 on the Data page for human labels.\n"
        "- Some actions describe cruelty, betrayal or filth, because vice has to be measured too."
    )
with st.expander("What is stored here"), frame.told():
    storage.show()
if maps is not None:
    with maps, frame.told():
        preview.model()

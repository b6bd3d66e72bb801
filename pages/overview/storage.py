"""What the cache holds, by kind, with sizes; and how to clear it."""

import pandas as pd
import streamlit as st

from pages.shared.bench import workbench

_KINDS = {
    "weights": "Unpacked models",
    "acts": "States of models",
    "items": "Sets of actions",
    "layout": "Pictures",
    "evidence": "Figures with controls",
    "diagnosis": "The four tests",
    "waterfall": "Repairs of the paper's tests",
    "comparison": "Comparisons of readings",
    "profile": "Comparisons of all layers",
    "mapnoise": "Noise of maps",
    "joint": "Maps of two models in one",
    "digest": "Digests of files",
    "direction": "Directions from files",
    "standing": "Rows of the leaderboard",
    "pack": "Opened packs",
    "selection": "Selections",
    "dose": "Doses and leakages of steering",
    "dictionary": "Dictionaries",
    "worth": "Reports of dictionaries",
    "tokens": "Tokens that dictionaries learn from",
    "sampled": "Text that models wrote",
    "codes": "Texts taken apart",
    "latents": "Judged latents",
    "lens": "Words of latents",
    "effect": "Tried latents",
    "aligned": "Aligned dictionaries",
    "alignment": "Reports of alignments",
    "alignment tests": "Four tests of aligned models",
    "foundations left out": "Alignments without a foundation",
    "moves": "Moves of texts under alignments",
    "neutral": "Neutral text that alignments learn from",
    "answers": "Answers to prompts",
    "arm strength": "Strengths of evaluated arms",
    "probes": "Actions read under steering",
}
#: What a person brought or waited long for is not cleared with one click.
_KEPT = ("items", "dictionary", "direction")


def show() -> None:
    """Draw the table of kinds and the way to clear one."""
    store = workbench().store
    artefacts = store.artefacts()
    for notice in store.notices:
        st.warning(notice)
    if not artefacts:
        st.caption(f"Nothing yet. The cache is {store.root}.")
        return
    rows = pd.DataFrame([(one.kind, one.size) for one in artefacts], columns=["kind", "size"])
    table = rows.groupby("kind")["size"].agg(["count", "sum"]).reset_index()
    table["what"] = [_KINDS.get(kind, kind) for kind in table["kind"]]
    table["MB"] = table["sum"] / 1e6
    st.dataframe(
        table[["what", "count", "MB"]].sort_values("MB", ascending=False),
        hide_index=True,
        column_config={"MB": st.column_config.NumberColumn(format="%.1f")},
        alt="What the cache holds, by kind.",
    )
    st.caption(f"{rows['size'].sum() / 1e9:.2f} GB in {store.root}. All of it can be made again.")
    with st.popover("Clear …", icon=":material/delete:"):
        kinds = [kind for kind in _KINDS if kind in set(rows["kind"]) and kind not in _KEPT]
        kind = st.selectbox("What", kinds, format_func=lambda one: _KINDS[one], key="clear-kind")
        if st.button("Clear it", key="clear-button") and kind:
            for artefact in artefacts:
                if artefact.kind == kind:
                    store.delete(artefact)
            st.rerun()

"""A table before it is read: what was recognised, which column holds what, how to read it."""

import hashlib
from pathlib import Path

import streamlit as st

from core.dataset.columns import ColumnMapping, TableShape, inspect_table
from core.dataset.sets import ItemSpec

_MISSING = "—"


def ask(path: Path, name: str) -> ItemSpec | None:
    """Show what was recognised, offer a mapping; return what to read once it was asked for."""
    shape = inspect_table(path)
    st.dataframe(
        shape.preview,
        hide_index=True,
        key="preview",
        alt="The first rows of the table.",
    )
    key = hashlib.sha256(str(path).encode()).hexdigest()[:8]
    mapping = _mapping(shape, key) if shape.kind == "own" else None
    row = st.columns([2, 1, 1], vertical_alignment="bottom")
    title = row[0].text_input("Name", value=name[:80], max_chars=80, key=f"name-{key}")
    sample = row[1].toggle(
        "Diagnosis sample",
        key=f"sample-{key}",
        persist_state="session",
        help="The paper's stratified sample: per foundation and pole up to 300 of each grade, 150 "
        "typical ones, 300 neutral.",
    )
    skip = row[2].toggle(
        "Skip bad rows",
        key=f"skip-{key}",
        persist_state="session",
        help="Count rows with impossible values instead of refusing.",
    )
    if not st.button("Read the table", type="primary", key=f"read-{key}"):
        return None
    if shape.kind == "own" and mapping is None:
        st.error("Choose the columns first: action, foundations, and judgement or score.")
        return None
    return ItemSpec(
        "file",
        path,
        name=title,
        mapping=mapping,
        sample="diagnosis" if sample else "all",
        skip_bad_rows=skip,
    )


def _mapping(shape: TableShape, key: str) -> ColumnMapping | None:
    st.caption("Which column holds what? Either a judgement or a score is needed.")
    options = [_MISSING, *shape.columns]
    chosen = {}
    wanted = ("action", "foundations", "judgement", "agreement", "score")
    for column, name in zip(st.columns(len(wanted)), wanted, strict=True):
        guess = shape.guessed.get(name, "")
        value = column.selectbox(
            name.capitalize(),
            options,
            index=options.index(guess) if guess in options else 0,
            key=f"map-{name}-{key}",
            persist_state="session",
        )
        chosen[name] = "" if value == _MISSING else value
    if not (chosen["action"] and chosen["foundations"]):
        return None
    if bool(chosen["judgement"]) == bool(chosen["score"]):
        return None
    return ColumnMapping(**chosen)

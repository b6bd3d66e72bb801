"""A table before it is read: what was recognised, which column holds what, how to read it."""

import hashlib
from pathlib import Path
from typing import Final

import streamlit as st

from core.dataset.columns import ColumnMapping, TableShape, inspect_table
from core.dataset.preview import ReadRow, read_first_rows
from core.dataset.rows import TableError
from core.dataset.sets import ItemSpec

_MISSING = "—"
#: Role -> what its box is for; two boxes in a row.
_ROLES: Final = {
    "action": "The text of the action.",
    "foundations": "One or more of the five, such as care-harm or loyalty; a bar between several.",
    "judgement": "From −2 to 2. Or choose a score or a pole.",
    "agreement": "From 0 to 4, beside a judgement; without one, 4.",
    "pole": "Virtue or vice, good or bad, 1 or −1, in place of judgement or score.",
    "grade": "From 0 to 1, beside a pole: how typical the action is of it; without one, 1.",
    "score": "From −1 (vice) to 1 (virtue), in place of judgement or pole.",
    "identifier": "An id for each row; without one, the row's number.",
}


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
    row = st.columns([2, 1, 1, 1], vertical_alignment="bottom")
    title = row[0].text_input("Name", value=name[:80], max_chars=80, key=f"name-{key}")
    sample = row[1].toggle(
        "A balanced sample",
        key=f"sample-{key}",
        persist_state="session",
        help="Stratified, as the paper's: per foundation and pole up to 300 of each grade, 150 "
        "typical ones, 300 neutral.",
    )
    skip = row[2].toggle(
        "Skip bad rows",
        key=f"skip-{key}",
        persist_state="session",
        help="Count rows with impossible values instead of refusing.",
    )
    several = shape.kind == "official" and row[3].toggle(
        "Several people",
        key=f"several-{key}",
        persist_state="session",
        help="Keep the rows that several people graded, for a human ceiling. A text then counts "
        "once for each of them.",
    )
    unready = shape.kind == "own" and mapping is None
    if not st.button("Read the table", type="primary", key=f"read-{key}", disabled=unready):
        return None
    return ItemSpec(
        "file",
        path,
        name=title,
        mapping=mapping,
        sample="diagnosis" if sample else "all",
        skip_bad_rows=skip,
        several=several,
    )


def _mapping(shape: TableShape, key: str) -> ColumnMapping | None:
    """Draw the boxes, filled in as guessed, and beside them how the first rows will be read."""
    left, right = st.columns([1, 1.5], gap="large")
    with left:
        st.markdown("**Which column holds what**")
        chosen = _boxes(shape, key)
    with right:
        st.markdown("**How the first rows will be read**")
        for role, why in shape.guess.open.items():
            if not any(chosen[one] for one in role.split(" or ")):
                st.caption(f":material/help: {why}")
        try:
            mapping = ColumnMapping(**chosen)
            _first_rows(read_first_rows(shape, mapping))
        except TableError as error:
            st.info(str(error), icon=":material/rule:")
            return None
    return mapping


def _boxes(shape: TableShape, key: str) -> dict[str, str]:
    options = [_MISSING, *(name for name in shape.columns if name)]
    chosen = {}
    pairs = [column for _ in range(len(_ROLES) // 2) for column in st.columns(2)]
    for column, (role, meaning) in zip(pairs, _ROLES.items(), strict=True):
        guess = shape.guess.columns.get(role, _MISSING)
        with column.container(gap=None):
            value = st.selectbox(
                role.capitalize(),
                options,
                index=options.index(guess),
                key=f"map-{role}-{key}",
                persist_state="session",
                help=meaning,
            )
            if value != _MISSING:
                st.caption(shape.guess.reasons[role] if value == guess else "chosen by you")
        chosen[role] = "" if value == _MISSING else value
    return chosen


def _first_rows(rows: tuple[ReadRow, ...]) -> None:
    st.dataframe(
        [
            {
                "action": row.text,
                "foundations": row.foundations,
                "pole": row.pole or "not read",
                "grade": "" if row.grade is None else f"{row.grade:.3g}",
            }
            for row in rows
        ],
        hide_index=True,
        key="read-preview",
        column_config={"action": st.column_config.TextColumn(width="medium")},
        alt="What becomes of each row: action, foundations, pole and grade.",
    )
    for number, row in enumerate(rows, start=1):
        if row.fault:
            st.caption(f":material/block: Row {number}: {row.fault}.")

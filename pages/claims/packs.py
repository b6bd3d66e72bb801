"""Packs that decide nothing yet: some of their texts can be read again here."""

import streamlit as st

from core.claims.evidence import UNVERIFIED, Evidence
from core.claims.judge import Verdict
from pages.shared import progress
from pages.shared.bench import workbench


def show(found: list[Verdict], set_name: str) -> None:
    """Offer the check of each pack that claims speak of and whose model is on this machine."""
    marks = {each.witness.mark for one in found for each in one.models}
    if UNVERIFIED not in marks:
        return
    for one in Evidence(workbench(), set_name).packs():
        if isinstance(one, str):
            st.info(
                f"{one} decides nothing: its model is not on this machine, so none of its texts "
                "can be read again.",
                icon=":material/inventory_2:",
            )
        elif not progress.making(one):
            row = st.container(horizontal=True, vertical_alignment="center")
            progress.offer(row, one, "Read some of its texts again")
            row.caption(f"{one.title}: until then this pack decides nothing.")

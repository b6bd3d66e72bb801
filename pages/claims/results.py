"""What the page of the claim court keeps between reruns."""

import streamlit as st

from core.claims.docket import docket_of, hear
from core.claims.judge import Verdict
from pages.shared.bench import workbench


@st.cache_resource(show_spinner="Hearing the claims …", max_entries=8)
def verdicts(content: bytes, name: str, set_name: str, cached: str) -> list[Verdict]:
    """Return the verdicts on a docket.

    Args:
        content: The docket's text.
        name: Of its file.
        set_name: The set that is spoken of.
        cached: Fingerprint of what the cache holds: with more of it a verdict may be another.

    Raises:
        CoreError: It is no docket, or there is no such set.
    """
    del cached  # part of what the verdicts are kept under
    return hear(workbench(), docket_of(content, name), set_name)

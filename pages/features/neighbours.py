"""The latents whose directions are nearest to an open one's; a click opens them."""

import streamlit as st

from core.features.dashboard import Dashboard
from pages.features import opened


def show(known: Dashboard) -> None:
    """Offer the latents whose directions are nearest."""
    row = st.container(horizontal=True, vertical_alignment="center", gap="small")
    row.caption("Nearest latents, cosine:", width="content")
    for one, cosine in known.nearest:
        row.button(
            f"{one} · {cosine:.2f}",
            key=f"near-{one}",
            type="tertiary",
            help="Open its passport",
            on_click=opened.elsewhere,
            args=(one,),
        )

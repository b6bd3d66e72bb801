"""What is known about the model before its weights are loaded, and its terms."""

from typing import Any

import streamlit as st

from core import CoreError
from core.activations.study import Study
from core.models.gguf import packaged_licence
from core.models.states_kept import check_told, first_token_told
from pages.shared import bench


def show(place: Any, study: Study) -> None:
    """Draw the card behind a popover: identity, size, device, licence."""
    card = study.card
    with place.popover("About this model", icon=":material/info:", type="tertiary"):
        facts = {
            "Model": card.name,
            "Identity": f"`{card.identity[:40]}…`",
            "Architecture": f"{card.architecture}, {card.n_layers} layers × {card.d_model}",
            "Parameters": f"{card.n_parameters / 1e6:,.0f} M",
            "Memory": card.memory,
            "Runs on": f"{card.device}, {card.dtype}: {card.reason}",
            "States": check_told(bench.workbench().store, card),
            "First token": first_token_told(bench.workbench().store, card),
            "Licence": card.licence,
        }
        st.markdown("\n".join(f"- **{name}** {text}" for name, text in facts.items() if text))
        if card.spec.source == "packaged":
            _terms()


def _terms() -> None:
    try:
        licence = packaged_licence()
    except CoreError as error:
        st.error(str(error))
        return
    st.download_button(
        "The full Gemma terms",
        licence.terms.read_bytes(),
        "GEMMA_TERMS.html",
        "text/html",
        icon=":material/gavel:",
        on_click="ignore",
    )

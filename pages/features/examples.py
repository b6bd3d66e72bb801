"""The texts of a passport, each token tinted by the latent's activation."""

from collections.abc import Iterable
from html import escape
from typing import Final

import streamlit as st

from core.activations.study import Study
from core.features.dashboard import Dashboard, Example
from core.foundations import FOUNDATIONS
from core.palette import tint

_STYLE: Final = """<style>
.ms-lit {margin: 0 0 .55rem; line-height: 1.75}
.ms-lit small {opacity: .7; white-space: nowrap}
.ms-lit span {border-radius: 3px; padding: .08rem 0}
</style>"""


def show(study: Study, passport: Dashboard) -> None:
    """Draw the strongest texts, then those around its quantiles."""
    st.html(_STYLE)
    highest = float(passport.edges[-1])
    st.markdown("**Texts on which it is on most strongly**")
    st.html(_texts(study, passport.top, highest))
    with st.expander("Weaker and borderline texts"):
        for around in passport.borderline:
            name = "Barely on" if around.quantile == 0 else f"Around {around.quantile:.0%}"
            st.markdown(f"**{name}** of its texts, activation {around.level:.3g}")
            st.html(_texts(study, around.examples, highest))
    st.caption("The stronger the tint, the stronger the activation; rest on a token for its value.")


def _texts(study: Study, examples: Iterable[Example], highest: float) -> str:
    labels = study.items
    rows = []
    for one in examples:
        pole, foundation = labels.pole[one.item], FOUNDATIONS[labels.foundation[one.item]]
        grade = f" · grade {labels.grade[one.item]:g}" if pole != "neutral" else ""
        rows.append(
            f"<p class='ms-lit'>{lit(one.words, one.heat.tolist(), highest)}<br><small>"
            f"{foundation} · {pole}{grade}</small></p>"
        )
    return "".join(rows)


def lit(words: Iterable[str], heat: Iterable[float], highest: float) -> str:
    """Return tokens as HTML, tinted by their activation."""
    return "".join(
        f"<span title='{value:.3g}' style='background:{_tint(value, highest)}'>"
        f"{escape(word)}</span>"
        for word, value in zip(words, heat, strict=True)
    )


def _tint(value: float, highest: float) -> str:
    return tint(0.2 + 0.8 * value / highest) if value > 0 else "transparent"

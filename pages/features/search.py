"""Search of latents: by words of texts, by token, by the words they promote, by number."""

from collections.abc import Sequence
from typing import Final

import streamlit as st

from core import CoreError
from core.activations.study import Study
from core.features import jobs as features_jobs
from core.features import search as features_search
from core.features.jobs import MoralLatents
from core.sae.dictionary import Dictionary
from pages.shared.address import bound
from pages.shared.bench import opened, workbench

_WAYS: Final[dict[str, str]] = {
    "text": "on in texts with",
    "token": "on at the token",
    "promotes": "promotes the word",
    "number": "number",
}


def ask(study: Study, dictionary: Dictionary, found: MoralLatents) -> Sequence[int] | None:
    """Draw the search; None while nothing is looked for."""
    row = st.columns([1, 1.4], vertical_alignment="bottom")
    way = row[0].selectbox(
        "Find", list(_WAYS), format_func=_WAYS.__getitem__, **bound("by", "text", list(_WAYS))
    )
    query = row[1].text_input(
        "Search",
        max_chars=features_search.MOST_QUERY,
        label_visibility="collapsed",
        placeholder="a word",
        **bound("find", ""),
    )
    if not query.strip():
        return None
    try:
        return _found(study, dictionary, found, str(way), query)
    except CoreError as error:
        st.warning(str(error))
        return []


def _found(
    study: Study, dictionary: Dictionary, found: MoralLatents, way: str, query: str
) -> Sequence[int]:
    if way == "number":
        return _number(query, len(found.scores.fires))
    if way == "promotes":
        lens = opened(
            features_jobs.words(
                workbench(), study, dictionary, features_jobs.asked_latents(found.scores)
            )
        )
        if lens is None:
            raise CoreError(
                "Words were not looked up yet: press 'Look up the words' in a passport below."
            )
        promoting = features_search.by_promoted(lens, query)
        st.caption(f"{len(promoting):,} latents promote it, the strongest first.")
        return [int(one) for one in promoting]
    if way == "token":
        hits = features_search.by_token(found.activations, query)
    else:
        hits = features_search.by_text(found.activations, study, query)
    unit = "tokens" if way == "token" else "texts"
    st.caption(f"{hits.matches:,} {unit} match; latents by how much more often they are on there.")
    return [int(one) for one in hits.latents]


def _number(query: str, n: int) -> Sequence[int]:
    text = query.strip()
    if not (text.isascii() and text.isdigit() and int(text) < n):
        raise CoreError(f"{text[:20]!r} is no latent. Type 0 to {n - 1:,}.")
    return [int(text)]

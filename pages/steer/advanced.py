"""Behind "More": how a direction is made, what is done with it, further layers."""

from typing import Any, Final, get_args

import streamlit as st

from core import CoreError
from core.activations.study import Study
from core.layers import layers_of
from core.steering.directions import Method
from pages.shared.address import bound

OPERATIONS: Final[dict[str, str]] = {
    "add": "Add the direction",
    "project out": "Take its part away",
    "set": "Set its part",
    "clamp": "Set latents, keep the rest",
    "align": "Add an aligned dictionary's change",
    "replace": "Put the aligned dictionary in its place",
}
_METHODS: Final[dict[str, str]] = {
    "means": "Difference of means",
    "probe": "Weights of a probe",
    "shuffled": "Shuffled labels (control)",
}


def ask(study: Study) -> tuple[Any, Any, Any, tuple[int, ...]]:
    """Draw the widgets; return method, operation, pooling and further layers."""
    method = st.selectbox(
        "Direction from",
        list(_METHODS),
        format_func=_METHODS.__getitem__,
        help="Typical virtue minus typical vice, on the training split.",
        **bound("how", "means", get_args(Method)),
    )
    operation = st.selectbox(
        "What is done",
        list(OPERATIONS),
        format_func=OPERATIONS.__getitem__,
        **bound("op", "add", list(OPERATIONS)),
    )
    poolings = [one for one in ("last", "mean", "mean_all") if one in study.plan.spec.poolings]
    pooling = st.selectbox(
        "States behind the direction", poolings, **bound("from", poolings[0], poolings)
    )
    text = st.text_input(
        "And after these layers",
        placeholder="9, 12-14",
        help="Further layers, apart or in ranges; the directions of each are made there.",
        **bound("also", ""),
    )
    st.toggle(
        "Plain sliders",
        help="The sliders of Streamlit instead of those beside the moving map.",
        **bound("plain", default=False),
    )
    try:
        return method, operation, pooling, layers_of(text or "", study.card.n_layers)
    except CoreError as error:
        st.error(str(error))
        return method, operation, pooling, ()

"""What the page keeps between reruns: places of texts at every share, and who moves most."""

from typing import Any

import numpy as np
import streamlit as st
from numpy.typing import NDArray

from core import CoreError
from core.activations.study import Study
from core.alignment import moves
from core.alignment.arms import Aligned
from core.alignment.jobs import trained_arm
from core.alignment.moves import Moved
from core.alignment.spec import AlignSpec, Arm
from core.maps.scene import Curve
from core.maps.view import ViewSpec
from core.runtime.made import Made
from core.sae.dictionary import Dictionary
from pages.shared.bench import NAMES, opened, workbench


@st.cache_resource(show_spinner=False, max_entries=8, hash_funcs=NAMES)
def trained(
    study: Study, base: Dictionary, spec: AlignSpec, arm: Arm, digests: tuple[str, ...]
) -> Aligned | None:
    """Return an arm of a report, seed 0; ``digests``, those of its dictionaries, tell it apart."""
    del digests
    return trained_arm(workbench(), study, base, spec, arm, 0)


@st.cache_resource(show_spinner="Placing the texts …", max_entries=16, hash_funcs=NAMES)
def places(study: Study, spec: ViewSpec, made: Made[Any]) -> NDArray[np.float32]:
    """Return every item's place at every share of a kept change."""
    return moves.places(workbench().store, study, spec, _change(made))


@st.cache_resource(show_spinner="Asking how far it fits …", max_entries=32, hash_funcs=NAMES)
def curve(study: Study, layer: int, made: Made[Any]) -> Curve:
    """Return CKA of test texts at every share, beside shuffled labels."""
    return moves.fit_curve(workbench().store, study, layer, _change(made))


@st.cache_resource(show_spinner="Asking who moves most …", max_entries=32, hash_funcs=NAMES)
def moved(study: Study, spec: ViewSpec, made: Made[Any], share: float) -> Moved:
    """Return which test texts a share of a kept change moves most."""
    change = np.float32(share) * _change(made)
    return moves.moved(workbench().store, study, spec, change)


def _change(made: Made[Any]) -> NDArray[np.float32]:
    found: NDArray[np.float32] | None = opened(made)
    if found is None:
        raise CoreError("What was just there is gone: the cache was cleared. Reload the page.")
    return found

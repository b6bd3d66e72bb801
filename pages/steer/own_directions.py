"""Directions from files: loaded once, kept on this machine, each with a slider of its own."""

import re
from typing import Final

import streamlit as st

from core import CoreError
from core.activations.study import Study
from core.steering.direction_files import FILE, axis_of, keep_direction, kept_directions
from core.steering.directions import MOST_BYTES, Direction
from pages.shared.bench import workbench
from pages.steer import slider

_UPLOAD: Final = "own-file"
_TOLD: Final = "own-told"
#: Everything that Markdown could take for a link, an image or an icon.
_UNSAFE: Final = re.compile(r"[^\w .,()+-]+")


def show(study: Study) -> None:
    """Draw the kept directions of this model, and a way to load another one."""
    kept = {axis_of(one): one for one in kept_directions(workbench().store, study.card)}
    asked = [name for name in st.query_params if name.startswith(FILE) and name not in kept]
    with st.expander(f"Directions from files ({len(kept)})", expanded=bool(asked)):
        for name in asked:
            st.warning(
                f"This address steers along {name}, which is not on this machine. Load its file."
            )
        for axis, direction in kept.items():
            slider.show(axis, _label(direction))
        st.file_uploader(
            "A safetensors file with one vector",
            type=["safetensors"],
            max_upload_size=MOST_BYTES // 2**20,
            key=_UPLOAD,
            on_change=_keep,
            args=(study,),
            help="As long as this model's residual stream is wide; made unit length. It may say "
            "its model and layer in its metadata. The files of a run can be loaded here.",
        )
        if st.session_state.get(_TOLD):
            st.error(st.session_state[_TOLD])


def _label(direction: Direction) -> str:
    name = _UNSAFE.sub(" ", direction.name).strip() or "unnamed"
    return name if direction.layer < 0 else f"{name} (layer {direction.layer})"


def _keep(study: Study) -> None:
    """Keep what was just uploaded (a callback)."""
    given = st.session_state.get(_UPLOAD)
    st.session_state[_TOLD] = ""
    if given is None:
        return
    try:
        keep_direction(workbench().store, given.name, given.getvalue(), study.card)
    except CoreError as error:
        st.session_state[_TOLD] = str(error)

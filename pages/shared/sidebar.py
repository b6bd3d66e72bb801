"""The sidebar: which actions, which model, how texts are read. It holds on every page."""

from dataclasses import replace
from typing import Final

import streamlit as st

from core import CoreError
from core.activations.prompts import PRESETS, ReadSpec
from core.dataset.sets import stored_sets
from core.leaderboard.pack import opened_packs
from core.models.spec import KNOWN, ModelSpec
from core.workbench import BUILTIN
from pages.shared.address import bound
from pages.shared.bench import workbench

#: Longest template that can be typed.
MAX_TEMPLATE = 200
#: What opens everywhere: the packaged model, and how it reads.
FIRST: Final = {"model": str(KNOWN[0].spec), "template": PRESETS["default"].template}


def show() -> None:
    """Draw the pickers; their values live in the URL, so they hold on every page."""
    with st.sidebar:
        sets = {BUILTIN: "Everyday actions (built in)"}
        try:
            for one in stored_sets(workbench().store):
                if one.provenance.kind != "builtin":
                    suffix = " · sample" if one.sample == "diagnosis" else ""
                    sets.setdefault(one.digest[:12], one.provenance.name + suffix)
        except CoreError as error:
            st.error(str(error))
        st.selectbox(
            "Actions and their labels",
            list(sets),
            format_func=lambda name: sets.get(name, name),
            **bound("set", BUILTIN, list(sets)),
            help="Add your own table, or Social-Chemistry-101, on the Data page.",
        )
        names = [str(known.spec) for known in KNOWN]
        names += [str(spec) for spec in opened_packs(workbench().store)]
        named = bound("model", names[0])
        if st.session_state["model"] not in names:
            names.append(st.session_state["model"])
        st.selectbox(
            "Model",
            names,
            format_func=model_label,
            **named,
            accept_new_options=True,
            help="Or type hub:owner/name@revision, folder:/path, gguf:/path/x.gguf.",
        )
        st.toggle(
            "With random weights",
            **bound("untrained", default=False),
            help="Untrained control: the same architecture with seeded random weights. What it "
            "shows as well, training did not put there.",
        )
        _reading_controls()


def model_label(text: str) -> str:
    """Return a model's name for people; what cannot be read stays as it was typed."""
    try:
        return ModelSpec.parse(text).label
    except CoreError:
        return text


def _reading_controls() -> None:
    with st.expander("How texts are read"):
        st.segmented_control(
            "By whose rules",
            list(PRESETS),
            required=True,
            **bound("preset", "default", list(PRESETS)),
            help="Preset. Paper: punctuation kept, first token in the mean, as in the released "
            "code.",
        )
        st.text_input(
            "The words around an action",
            max_chars=MAX_TEMPLATE,
            **bound("template", PRESETS["default"].template),
            help="Template: {action} stands for the text.",
        )


def set_name() -> str:
    """Return the name of the set that the sidebar shows."""
    return str(st.session_state.get("set") or BUILTIN)


def model_choice() -> tuple[str, ReadSpec]:
    """Return the model's text form and how it reads, as the sidebar says.

    Raises:
        CoreError: The model or the template cannot mean anything.
    """
    spec = ModelSpec.parse(st.session_state.get("model") or "packaged")
    if st.session_state.get("untrained"):
        spec = spec.untrained()
    preset = PRESETS[st.session_state.get("preset") or "default"]
    template = st.session_state.get("template") or preset.template
    return str(spec), replace(preset, template=template)

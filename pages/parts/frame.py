"""The frame around every page: style, sidebar with set and model, headings, legends."""

from dataclasses import dataclass

import streamlit as st

from core import CoreError
from core.dataset import stored_sets
from core.modelspec import KNOWN, ModelSpec
from core.palette import POLE_SIGNS
from core.prompts import PRESETS, ReadSpec
from core.workbench import BUILTIN
from pages.parts.address import bound
from pages.parts.bench import bench, items

MAX_TEMPLATE = 200
_STYLE = """
<style>
  .block-container {padding-top: 2.6rem; padding-bottom: 3rem; max-width: 1500px}
  .ms-legend {display: flex; flex-wrap: wrap; gap: .25rem 1.1rem; font-size: .86rem; opacity: .9}
  .ms-legend i {display: inline-block; width: .7rem; height: .7rem; border-radius: 50%;
    margin-right: .35rem; vertical-align: -.05rem}
  .ms-note {font-size: .86rem; opacity: .75; margin: 0}
  .ms-lead {font-size: 1.12rem; max-width: 46rem; line-height: 1.55}
  @media (max-width: 640px) {.block-container {padding-left: 1rem; padding-right: 1rem}}
  @media (prefers-reduced-motion: reduce) {
    * {transition: none !important; animation: none !important}}
</style>
"""


@dataclass(frozen=True)
class Choice:
    """What the sidebar says."""

    set_name: str
    """``builtin`` or the beginning of a stored set's digest."""

    model: str
    """Text form of the ``ModelSpec``."""

    read: ReadSpec
    """How texts are read."""

    @property
    def key(self) -> str:
        """Identity for caches of this process."""
        return f"{self.set_name}|{self.model}|{self.read}"


def style() -> None:
    """Add the few rules that the theme cannot express."""
    st.html(_STYLE)


def sidebar() -> None:
    """Draw the pickers; their values live in the URL, so they hold on every page."""
    with st.sidebar:
        sets = {BUILTIN: "Everyday actions (built in)"}
        try:
            for one in stored_sets(bench().store):
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
        named = bound("model", names[0])
        if st.session_state["model"] not in names:
            names.append(st.session_state["model"])
        st.selectbox(
            "Model",
            names,
            format_func=_model_label,
            **named,
            accept_new_options=True,
            help="Or type hub:owner/name@revision, folder:/path, gguf:/path/x.gguf.",
        )
        st.toggle(
            "Untrained control",
            **bound("untrained", default=False),
            help="The same architecture with seeded random weights. What it shows as well, "
            "training did not put there.",
        )
        _reading_controls()


def _model_label(text: str) -> str:
    try:
        return ModelSpec.parse(text).label
    except CoreError:
        return text


def _reading_controls() -> None:
    with st.expander("How texts are read"):
        st.segmented_control(
            "Preset",
            list(PRESETS),
            required=True,
            **bound("preset", "default", list(PRESETS)),
            help="paper: punctuation kept, first token in the mean, as in the released code.",
        )
        st.text_input(
            "Template",
            max_chars=MAX_TEMPLATE,
            **bound("template", PRESETS["default"].template),
            help="{action} stands for the text.",
        )


def choice() -> Choice:
    """Return what the sidebar says.

    Raises:
        CoreError: The model or the template cannot mean anything.
    """
    spec = ModelSpec.parse(st.session_state.get("model") or "packaged")
    if st.session_state.get("untrained"):
        spec = spec.untrained()
    preset = PRESETS[st.session_state.get("preset") or "default"]
    read = ReadSpec(
        template=st.session_state.get("template") or preset.template,
        strip=preset.strip,
        poolings=preset.poolings,
        max_tokens=preset.max_tokens,
    )
    return Choice(st.session_state.get("set") or BUILTIN, str(spec), read)


def heading(title: str, lead: str) -> None:
    """Write a page's title and one sentence on what it is for."""
    st.title(title)
    st.html(f"<p class='ms-note'>{lead}</p>")


def provenance_note(set_name: str) -> None:
    """Say of which kind the labels are, wherever results from them are shown."""
    where = items(set_name).provenance
    if where.note:
        icon = ":material/edit_note:" if where.authored else ":material/info:"
        st.caption(f"{icon} {where.name}: {where.note}")


def category_legend(categories: dict[str, str]) -> None:
    """Explain the colours of a category colouring, and the shapes."""
    colours = "".join(
        f"<span><i style='background:{colour}'></i>{name.replace('-', ' – ')}</span>"
        for name, colour in categories.items()
    )
    st.html(f"<div class='ms-legend'>{colours}{_pole_signs()}</div>")


def _pole_signs() -> str:
    return "".join(f"<span>{sign} {pole}</span>" for pole, sign in POLE_SIGNS.items())

"""The layers as frames of the model's map, with typicality at each beside shuffled labels."""

from dataclasses import replace
from typing import Final

import numpy as np
import pandas as pd
import streamlit as st

from core.activations.study import Study
from core.diagnosis.evidence_report import Evidence
from core.diagnosis.jobs import measured
from core.layers import layer_name
from core.maps.frames import drawn_layers
from core.maps.scene import Curve, Frames
from core.maps.view import ViewSpec
from pages.map import results
from pages.shared.bench import opened, workbench

#: The finding that the curve shows.
_SHOWN: Final = "Typicality"


def frames(study: Study, spec: ViewSpec) -> tuple[Frames, list[int]] | None:
    """Return the drawn layers as frames, and which they are; None if there is nothing to play."""
    layers = _layers(study, spec) if spec.dims == 2 else []
    if spec.layer not in layers or len(layers) < 2:
        return None
    found = results.layer_frames(study, replace(spec, layer=layers[0]), tuple(layers))
    evidence = opened(measured(workbench(), study, spec.pooling, spec.scaling))
    curve = None if evidence is None else _curve(evidence, layers)
    return found._replace(at=layers.index(spec.layer), curve=curve), layers


def _layers(study: Study, spec: ViewSpec) -> list[int]:
    """Return the layers that can be played; more and more while they are drawn ahead."""
    if spec.method == "axes":
        return results.axis_layers(study, replace(spec, layer=study.anchor))
    return drawn_layers(workbench().store, study, spec)


def open_frame(number: object, layers: list[int]) -> None:
    """Make the layer of a frame the page's (a callback); what is none is left out."""
    if isinstance(number, int) and 0 <= number < len(layers):
        st.session_state["layer"] = layer_name(layers[number])


def table(frames: Frames, layers: list[int]) -> None:
    """Draw the table twin of the curve."""
    curve = frames.curve
    if curve is None:
        return
    with st.expander(f"{curve.title} over layers, as a table"):
        columns = {"layer": [layer_name(layer) for layer in layers], "typicality": curve.value}
        ends = np.hstack([curve.interval, curve.chance]).T
        names = ("low", "high", "shuffled_low", "shuffled_high")
        st.dataframe(
            pd.DataFrame(columns | dict(zip(names, ends, strict=True))).round(3),
            hide_index=True,
            key="layers-typicality",
            alt="Typicality at each layer with its 95 % interval and the band of shuffled labels.",
        )


def _curve(evidence: Evidence, layers: list[int]) -> Curve:
    """Return typicality at some layers; NaN where it is not measured."""
    numbers = np.full((len(layers), 5), np.nan)
    for place, layer in enumerate(layers):
        for finding in evidence.findings.get(layer, ()):
            if finding.name == _SHOWN:
                numbers[place] = [*finding.observed, *finding.shuffled[1:]]
    return Curve(_SHOWN, numbers[:, 0], numbers[:, 1:3], numbers[:, 3:])

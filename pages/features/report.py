"""What the chosen dictionary is worth on tokens it was not trained on."""

import math
from collections.abc import Mapping
from typing import Any

import streamlit as st

from core.activations.study import Study
from core.sae.dictionary import Dictionary
from core.sae.shelf import Shelved
from core.sae.training.reconstruction_report import ReconstructionReport
from core.sae.training.trained import training_of
from pages.features import measure, report_charts


def show(study: Study, shelved: Shelved, dictionary: Dictionary) -> None:
    """Draw the report: a line, and behind it charts and tables; or offer to measure it."""
    kept = training_of(shelved)
    if kept is not None:
        _line(kept.report, "tokens")
        train = kept.corpus["train"]
        told = (
            f"Trained on {_size(train)}; judged on {_size(kept.corpus['held_out'])} that share no "
            f"text with them. First tokens are left out. {kept.spec.activation}, "
            f"{kept.spec.epochs} passes."
        )
        report_charts.show(kept.report, told, kept.curve)
        return
    worth = measure.show(study, shelved, dictionary)
    if worth is not None:
        _line(worth.report, f"tokens of {study.items.provenance.name}")
        held_out, train = worth.corpus["held_out"], worth.corpus["train"]
        told = (
            f"Brought from elsewhere; judged here on {_size(held_out)}, held-out actions of "
            f"{study.items.provenance.name}. Whether its training saw them is not known. Controls "
            f"are fitted on {_size(train)} of training actions. First tokens are left out."
        )
        report_charts.show(worth.report, told)


def _size(about: Mapping[str, Any]) -> str:
    return f"{about['positions']:,} tokens in {about['documents']:,} documents"


def _times(share: float) -> str:
    """Say a share of the variance; what is far above all of it in words that can be read."""
    return f"**{share:,.0f} times**" if share >= 10 else f"**{share:.1%}** of"


def _equal(report: ReconstructionReport) -> str:
    """Say what is missed if every coordinate counts alike, as far as it was measured."""
    for name, where in (("dictionary", ""), ("items", " on actions")):
        fit = report.fits.get(name)
        if fit is not None and math.isfinite(fit.equal.value):
            value, low, high = fit.equal
            return (
                f" A few coordinates hold most of that variance; with every coordinate equal it is "
                f"{_times(value)} it{where} [{low:.1%}, {high:.1%}]."
            )
    return ""


def _line(report: ReconstructionReport, where: str) -> None:
    """Say the four figures that decide, each beside its control and its interval."""
    own, costs = report.fits["dictionary"], report.costs
    cost = costs.added["dictionary"]
    components, random = (report.fits[name].fvu.value for name in ("components", "random"))
    st.markdown(
        f"On {report.tokens:,} held-out {where} it misses {_times(own.fvu.value)} the variance "
        f"[{own.fvu.low:.1%}, {own.fvu.high:.1%}] (as many principal components {components:.1%}, "
        f"random directions {random:.1%}) with **{own.l0.value:.0f}** latents on per token; "
        f"{report.dead:.0%} are never on.{_equal(report)} Reading it instead of the layer costs "
        f"**{cost.value:.2f}** [{cost.low:.2f}, {cost.high:.2f}] nats per token (the mean state "
        f"{costs.added['mean'].value:.2f})."
    )

"""What the steering page shows, as tables: read-outs, doses, leakage, landings, runs."""

import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from core.activations.study import Study, layer_states
from core.foundations import DIMENSIONS
from core.maps.layouts import model_layout
from core.maps.placing import axis_values
from core.maps.view import ViewSpec
from core.runtime.store import Store
from core.steering.effects.landing import Landed, Part
from core.steering.effects.matched_controls import ALPHA
from core.steering.effects.motion import OTHERS, Motion
from core.steering.effects.off_target import OffTarget
from core.steering.effects.paths import Paths, Settled
from core.steering.effects.pushes import SweepSpec
from core.steering.effects.readout import ReadOut
from core.steering.effects.shift import Shift
from core.steering.effects.shipped_doses import KnownDose
from core.steering.effects.strength_sweep import StrengthSweep
from core.steering.history import Run
from core.steering.recipes import Recipe
from core.wording import interval, number

#: A text degenerates whose perplexity under the plain model is so many times the plain text's.
DEGENERATE: Final = 3.0
#: The p of a verdict that does not stand beyond its controls.
_INSIDE: Final = re.compile(r"not beyond [^(]*\(p up to ([\d.]+)\)")


def answer_table(
    texts: Sequence[str], found: ReadOut, control: ReadOut | None = None, *, own: bool = False
) -> pd.DataFrame:
    """Return a read-out as a table, the largest change first.

    Columns: text, own, before, after, change, random, kl, mass; random is NaN without a control.

    Args:
        texts: What was asked.
        found: Before and after steering.
        control: Along a random direction.
        own: Whether the texts are the person's own.
    """
    random = np.full(len(texts), np.nan) if control is None else control.shift
    table = pd.DataFrame(
        {
            "text": list(texts),
            "own": own,
            "before": found.plain,
            "after": found.steered,
            "change": found.shift,
            "random": random,
            "kl": found.kl,
            "mass": found.mass,
        }
    )
    order = np.argsort(-np.abs(found.shift), kind="stable")
    return table.iloc[order].reset_index(drop=True)


def answer_sentence(table: pd.DataFrame) -> str:
    """Say what steering did to the read-out of one prompt, or of several on average."""
    shift, random = table["change"].mean(), table["random"].mean()
    if not shift:
        return "Before and after are the same."
    mean = ""
    if len(table) > 1:
        agree = int((np.sign(table["change"]) == np.sign(shift)).sum())
        mean = f", on average over {len(table)} actions and so for {agree} of them"
    said = f"Log odds of right against wrong **{number(shift, 1, signed=True)}**{mean}"
    if np.isnan(random):
        return f"{said}."
    return f"{said}; along a random direction {number(random, 1, signed=True)}."


# --- dose and leakage ---


def dose_table(dose: StrengthSweep) -> pd.DataFrame:
    """Return a dose's figures, a row per strength; log odds, with the ends of 95 % intervals."""
    rows = [
        (
            point.strength,
            *point.effect,
            *point.random,
            *point.turn,
            *point.random_turn,
            point.kl,
            point.perplexity,
            dose.safe[0] <= point.strength <= dose.safe[1],
        )
        for point in dose.points
    ]
    parts = ("push", "random push", "sign", "random sign")
    named = [f"{part}{end}" for part in parts for end in ("", " low", " high")]
    return pd.DataFrame(rows, columns=["strength", *named, "KL", "perplexity", "safe"])


def check_table(dose: StrengthSweep) -> pd.DataFrame:
    """Return both effects beside each family of controls, a row per effect and family, as text.

    The row of the direction itself comes first; isotropic directions are shown, not judged.
    """
    rows = []
    for name, at, check in dose.checks:
        own = {
            "": f"{name} at {at:+.0%}",
            "log odds": interval(check.effect, 2, signed=True),
            "beaten": "",
            "p": "",
            "KL": number(check.kl, 2),
        }
        rows.append(own)
        rows += [
            {
                "": f"· {one.named}{'' if one in check.judged else ' (not judged)'}",
                "log odds": interval(one.band, 2, signed=True),
                "beaten": f"{one.n - one.above} of {one.n} ({one.beaten.low:.0%} to "
                f"{one.beaten.high:.0%})",
                "p": one.p_text if one in check.judged else "",
                "KL": interval(one.kl, 2),
            }
            for one in check.beside
        ]
        rows += [
            {
                "": f"· {named}",
                "log odds": "",
                "beaten": "",
                "p": "not asked: decided without it",
                "KL": "",
            }
            for named in check.unasked
        ]
    return pd.DataFrame(rows)


def leakage_table(leakage: OffTarget) -> pd.DataFrame:
    """Return the leakage matrix, a row per direction, a column per pole asked.

    Of a family of controls the mean and both ends of its 95 % band.
    """
    families = leakage.rows[len(DIMENSIONS) :]
    names = [f"{name}, {end}" for name in families for end in ("low", "high")]
    ends = leakage.bands.reshape(-1, len(leakage.columns))
    table = pd.DataFrame(np.vstack([leakage.shift, ends]), columns=list(leakage.columns))
    table.insert(0, "steered towards", [*leakage.rows, *names])
    return table


# --- round trip ---


def landing_table(landed: Landed, samples: int) -> pd.DataFrame:
    """Return each centre's percentile, plain and steered, mean over samples.

    Args:
        landed: The plain texts, then the steered ones.
        samples: Texts of each kind.
    """
    plain, steered = landed.percentile[:samples], landed.percentile[samples:]
    return pd.DataFrame(
        {
            "centre": list(DIMENSIONS),
            "plain": plain.mean(axis=0),
            "steered": steered.mean(axis=0),
            "change": (steered - plain).mean(axis=0),
        }
    )


def landed_places(
    store: Store, study: Study, landed: Landed, spec: ViewSpec
) -> NDArray[np.float64]:
    """Return where texts lie on a layer's map, ``(n_texts, 2)``; NaN without a centre."""
    if spec.method == "axes":
        return np.column_stack([axis_values(axis, landed.cosine) for axis in (spec.x, spec.y)])
    known = layer_states(store, study, spec.layer, spec.pooling, spec.scaling)
    layout = model_layout(store, study, spec.layer, spec.pooling, spec.scaling, spec.layout).get()
    return layout.place(known.scaler.apply(landed.states), known.states).astype(np.float64)


def landed_table(parts: Sequence[Part], places: NDArray[np.float64]) -> pd.DataFrame:
    """Return where written texts and their sentences lie; those that have no place are left out.

    Columns: sample, written (plain or steered), sentence (0: the whole text), text, x, y.
    """
    table = pd.DataFrame(
        {
            "sample": [one.sample for one in parts],
            "written": ["steered" if one.steered else "plain" for one in parts],
            "sentence": [one.sentence for one in parts],
            "text": [" ".join(one.text.split()) for one in parts],
            "x": places[:, 0],
            "y": places[:, 1],
        }
    )
    return table[np.isfinite(places).all(axis=1)].reset_index(drop=True)


# --- the map whose points move ---


def motion_numbers(found: Motion) -> dict[str, Any]:
    """Return a motion as JSON can hold it, rows one after the other; None for places there are not.

    Keys: axes, x, y, gram, fan (lengths, ways), and either along and bend (length, onto, gram; None
    on a PCA map), or paths (knots; rows, None for all; ways).
    """
    numbers: dict[str, Any] = {
        "axes": list(found.axes),
        "x": _short(found.points[:, 0]),
        "y": _short(found.points[:, 1]),
        "gram": _short(found.gram),
        "fan": {"lengths": _short(found.fan.lengths), "ways": _short(found.fan.ways)},
    }
    if isinstance(found, Shift):
        numbers |= {
            "along": _short(found.along),
            "bend": None
            if found.bend is None
            else {name: _short(one) for name, one in found.bend._asdict().items()},
        }
    if isinstance(found, Paths):
        every = len(found.rows) == len(found.points)
        numbers["paths"] = {
            "knots": list(found.knots),
            "rows": None if every else found.rows.tolist(),
            "ways": _short(found.ways),
        }
    return numbers


def settled_numbers(found: Settled, strengths: Mapping[str, float]) -> dict[str, Any]:
    """Return where points have settled as JSON can hold it.

    Keys: strengths; rows (None for all), own (how many of the first are those of the preview's
    paths), x, y; apart and most, in map widths; left, how many more can be followed.
    """
    every = np.array_equal(found.rows, np.arange(len(found.rows)))
    return {
        "strengths": dict(strengths),
        "rows": None if every else found.rows.tolist(),
        "own": found.own,
        "x": _short(found.places[:, 0]),
        "y": _short(found.places[:, 1]),
        "apart": found.apart,
        "most": found.most,
        "left": found.left,
    }


def _short(numbers: NDArray[np.float64]) -> list[float | None]:
    return [float(f"{one:.6g}") if np.isfinite(one) else None for one in numbers.ravel()]


def travel_table(found: Motion, strengths: Mapping[str, float], step: float) -> pd.DataFrame:
    """Return how far each axis moves the middle of the points, beside its control directions.

    Args:
        found: Where axes move the points.
        strengths: What the sliders say, in residual norms.
        step: Strength of the axes that they leave at 0.

    Returns:
        Columns axis, strength, moved, and control, low, high: median and 95 % range of control
        directions of equal length; all in widths of the plain map. A row for each axis, and one
        for all together where more than one is pushed.
    """
    named = [axis for axis in found.axes if axis != OTHERS]
    asked = [(axis, {axis: strengths.get(axis) or step}) for axis in named]
    if sum(strength != 0 for strength in strengths.values()) > 1:
        asked.append(("all together", dict(strengths)))
    controls = [found.control(one) for _, one in asked]
    return pd.DataFrame(
        {
            "axis": [name for name, _ in asked],
            "strength": [one.get(name, found.length(one)) for name, one in asked],
            "moved": [found.travel(one) for _, one in asked],
            "control": [one.value for one in controls],
            "low": [one.low for one in controls],
            "high": [one.high for one in controls],
        }
    )


# --- runs ---


def doses_text(recipe: Recipe) -> str:
    """Return a recipe's directions and strengths in a few words."""
    named = [f"{term.axis} {term.strength:+.0%}" for term in recipe.active]
    return ", ".join(named) or "nothing"


def run_title(run: Run) -> str:
    """Return a run's name for people."""
    signs = ("📌 " if run.pinned else "") + ("★ " if run.starred else "")
    signs += "(stopped) " if run.stopped else ""
    made = time.strftime("%d %b %H:%M", time.localtime(run.made))
    return f"{signs}{made} · {doses_text(run.recipe)} · {run.prompt[:40]}"


def changed_text(run: Run) -> str:
    """Say in how many tokens plain and steered texts differ, and how often the edit ran."""
    if run.stopped:
        tokens = max((len(ids) for ids in run.receipt.get("plain_ids", [])), default=0)
        whole = replace(run, stopped=False)
        return (
            f"Stopped after {tokens} of {run.recipe.decoding.tokens} tokens; kept as it stands. "
            f"{changed_text(whole)}"
        )
    if not run.recipe.active:
        return "Strength 0: plain and steered are identical by construction, byte for byte."
    if run.changed_tokens == 0:
        layers = ", ".join(map(str, run.recipe.layers))
        return (
            f"0 tokens changed although the edit ran {run.calls} times: the strength is too small "
            f"at layer {layers}."
        )
    return f"{run.changed_tokens:,} tokens changed; the edit ran {run.calls:,} times."


def degenerates(plain: float, steered: float) -> bool:
    """Tell whether a steered text is so odd to the plain model that it hardly is one.

    Args:
        plain: Perplexity of the text without steering, by the plain model.
        steered: That of the steered text.
    """
    return steered > DEGENERATE * plain


def control_told(run: Run, doses: Mapping[str, KnownDose]) -> str:
    """Say in a few words whether control directions do as much as the one that a run steers by.

    Args:
        run: What was written.
        doses: What is known, by axis.

    Returns:
        Empty where the direction stands beyond its controls, or nothing is steered.
    """
    made, terms = run.recipe, run.recipe.active
    if not terms:
        return ""
    asked = SweepSpec(terms[0].axis, made.layers[0], terms[0].method, made.pooling, made.positions)
    dose = doses.get(asked.axis)
    alone = len(terms) == len(made.layers) == 1 and made.operation == "add"
    if dose is None or not alone or dose.spec != asked:
        return "not held against controls"
    sweep = dose.sweep
    if sweep is None:  # it came along, as a sentence
        inside = [float(p) for p in _INSIDE.findall(dose.said)]
    else:
        both = (*sweep.push.judged, *sweep.turn.judged)
        inside = [one.p for one in both if one.p > ALPHA]
    if inside:
        return f"a control push does as much (p up to {max(inside):.2g})"
    if sweep is None:
        beyond = dose.said.count("beyond all control directions") == 2  # pushed, and by its sign
        return "" if beyond else dose.said or "not held against controls"
    return "" if sweep.push.holds and sweep.turn.holds else sweep.push.verdict


def runs_table(runs: Sequence[Run]) -> pd.DataFrame:
    """Return the history as a table."""
    return pd.DataFrame(
        {
            "made": [pd.Timestamp(run.made, unit="s") for run in runs],
            "steered": [doses_text(run.recipe) for run in runs],
            "layer": [", ".join(map(str, run.recipe.layers)) for run in runs],
            "prompt": [run.prompt for run in runs],
            "changed": [run.changed_tokens for run in runs],
            "pinned": [run.pinned for run in runs],
            "starred": [run.starred for run in runs],
            "stopped": [run.stopped for run in runs],
            "note": [run.note for run in runs],
        }
    )

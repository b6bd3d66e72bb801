"""What the steering page shows, as tables: read-outs, doses, leakage, landings, runs."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from core.activations.study import Study
from core.foundations import DIMENSIONS
from core.layers import EMBEDDING
from core.maps.placing import Placed
from core.maps.view import ViewSpec, place_on
from core.runtime.store import Store
from core.steering.effects.landing import Landed
from core.steering.effects.off_target import OffTarget
from core.steering.effects.readout import ReadOut
from core.steering.effects.shift import OTHERS, RANDOM, Shift
from core.steering.effects.strength_sweep import StrengthSweep
from core.steering.history import Run
from core.steering.recipes import Recipe
from core.wording import interval, number

#: A factor below this is shown as 1.0.
_SAME: Final = 1.05


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
    towards = "right" if shift > 0 else "wrong"
    turned = random if shift > 0 else -random
    mean = ""
    if len(table) > 1:
        agree = int((np.sign(table["change"]) == np.sign(shift)).sum())
        mean = f", on average over {len(table)} actions and so for {agree} of them"
    said = f"A word for **{towards}** becomes **{_times(abs(shift))}**{mean}"
    if np.isnan(random):
        return f"{said}."
    return f"{said}; along a random direction: {_times(turned)}."


def _times(shift: float) -> str:
    factor = float(np.exp(min(abs(shift), 20)))
    if factor < _SAME:
        return "as likely as before"
    return f"{factor:,.1f} times {'likelier' if shift > 0 else 'less likely'}"


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


def landing_places(
    store: Store, study: Study, landed: Landed, spec: ViewSpec
) -> NDArray[np.float64] | None:
    """Return where texts lie on a layer's map, ``(n_texts, dims)``; None where an axis has none."""
    row, places = spec.layer - EMBEDDING, []
    for cosine, state in zip(landed.cosine, landed.states, strict=True):
        cosines = np.full((len(study.plan.layers), len(DIMENSIONS)), np.nan)
        states = np.zeros((len(study.plan.layers), state.shape[0]), np.float32)
        cosines[row], states[row] = cosine, state
        place = place_on(store, study, Placed(cosines, states), spec)
        if place is None:
            return None
        places.append(place)
    return np.array(places)


# --- the map whose points move ---


def shift_numbers(found: Shift) -> dict[str, Any]:
    """Return a shift as JSON can hold it, rows one after the other; None for places there are not.

    Keys: axes, x, y, along, gram, and bend (length, onto, gram) on moral axes, else None.
    """
    bend = found.bend
    return {
        "axes": list(found.axes),
        "x": _short(found.points[:, 0]),
        "y": _short(found.points[:, 1]),
        "along": _short(found.along),
        "gram": _short(found.gram),
        "bend": None
        if bend is None
        else {
            "length": _short(bend.length),
            "onto": _short(bend.onto),
            "gram": _short(bend.gram),
        },
    }


def _short(numbers: NDArray[np.float64]) -> list[float | None]:
    return [float(f"{one:.6g}") if np.isfinite(one) else None for one in numbers.ravel()]


def travel_table(found: Shift, strengths: Mapping[str, float], step: float) -> pd.DataFrame:
    """Return how far each axis moves the middle of the points, beside the random direction.

    Args:
        found: Where axes move the points.
        strengths: What the sliders say, in residual norms.
        step: Strength of the axes that they leave at 0.

    Returns:
        Columns axis, strength, moved, random (both in widths of the plain map, for pushes of equal
        length); a row for each axis, and one for all together where more than one is pushed.
    """
    named = [axis for axis in found.axes if axis not in (OTHERS, RANDOM)]
    asked = [(axis, {axis: strengths.get(axis) or step}) for axis in named]
    if sum(strength != 0 for strength in strengths.values()) > 1:
        asked.append(("all together", dict(strengths)))
    return pd.DataFrame(
        {
            "axis": [name for name, _ in asked],
            "strength": [one.get(name, found.length(one)) for name, one in asked],
            "moved": [found.travel(one) for _, one in asked],
            "random": [found.travel({RANDOM: found.length(one)}) for _, one in asked],
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

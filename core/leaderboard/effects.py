"""Do scale and training go with a figure? The model is the unit: one figure of each, no layers."""

from typing import Final, Literal

import numpy as np
import pandas as pd

from core.diagnosis.leaderboard_rows import STEERED
from core.measures.result import TESTS, Test
from core.statistics.associations import (
    Association,
    holm,
    kind_association,
    nothing_of,
    rank_association,
)
from core.statistics.bootstrap import Estimate
from core.wording import interval, number

Predictor = Literal["parameters", "training", "architecture"]
#: What the leaderboard holds figures against, in words.
PREDICTORS: Final[dict[Predictor, str]] = {
    "parameters": "log10 parameters (Spearman's ρ)",
    "training": "kind of training (η² of ranks)",
}
#: Of fewer models nothing is said.
FEWEST_MODELS: Final = 5


def models(rows: pd.DataFrame, test: Test) -> pd.DataFrame:
    """Return one row per trained model with its figure; runs of one model are averaged.

    Untrained copies are left out, and so are models that were edited while they read.

    Args:
        rows: As ``view.measured_so`` returns them.
        test: Which test.

    Returns:
        ``identity``, ``value``, ``parameters``, ``training``, ``architecture``, ``family``; a model
        without a stated family is one of its own.
    """
    known = rows[(rows["test"] == test) & rows["value"].notna()]
    known = known[~known["model"].astype(str).str.contains("untrained=", regex=False)]
    known = known[~known["identity"].astype(str).str.contains(STEERED, regex=False)]
    who = known["identity"].where(known["identity"].notna(), known["run"])
    stated = known["family"].where(known["family"].fillna("") != "", who)
    found = known.assign(identity=who, family=stated)
    return found.groupby("identity", as_index=False).agg(
        value=("value", "mean"),
        parameters=("parameters", "first"),
        training=("training", "first"),
        architecture=("architecture", "first"),
        family=("family", "first"),
    )


def effects(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the associations of the four headlines with size and training, over models.

    Args:
        rows: As ``view.measured_so`` returns them.

    Returns:
        A row per test and predictor: ``test``, ``against``, ``models``, ``effect``, ``low``,
        ``high``, ``chance``, ``p``, ``p_together`` (Holm over all rows), ``note``; NaN where there
        are too few models.
    """
    found = []
    for test in TESTS:
        some = models(rows, test)
        for predictor in PREDICTORS:
            one, note = effect(some, predictor)
            found.append(
                {
                    "test": test,
                    "against": predictor,
                    "models": one.n,
                    "effect": one.value,
                    "low": one.low,
                    "high": one.high,
                    "chance": one.chance,
                    "p": one.p,
                    "note": note,
                }
            )
    table = pd.DataFrame(found)
    table.insert(8, "p_together", holm(table["p"].to_numpy(np.float64)))
    return table


def effect(some: pd.DataFrame, predictor: Predictor) -> tuple[Association, str]:
    """Return an association over models, and what has to be known about it.

    Args:
        some: As ``models`` returns them.
        predictor: What figures are held against.
    """
    known = some[some[predictor].notna() & (some[predictor].astype(str) != "")]
    several = ""
    if predictor == "parameters":
        # A base model and what was tuned from it are one draw of a pretraining.
        sisters = known.groupby(["family", "parameters"], as_index=False)["value"].mean()
        several = "sisters of one size averaged, " if len(sisters) < len(known) else ""
        known = sisters
    if len(known) < FEWEST_MODELS:
        return nothing_of(known[predictor].to_numpy(), ranked=predictor == "parameters"), (
            f"too few models: {several}{len(known)} of at least {FEWEST_MODELS}"
        )
    one, where = _by_size(known) if predictor == "parameters" else _by_kind(known, predictor)
    if np.isnan(one.p):
        return one, f"all {len(known)} models are alike in {predictor}"
    if not one.within:
        return one, f"{several}all taken as exchangeable: families too small to permute within"
    left = len(known) - one.n
    lone = f"; {left} alone in theirs or like all of it left out" if left else ""
    return one, f"{several}permuted within {where}{lone}"


def _by_size(known: pd.DataFrame) -> tuple[Association, str]:
    size = np.log10(known["parameters"].to_numpy(np.float64))
    values, families = known["value"].to_numpy(np.float64), known["family"].to_numpy(str)
    return rank_association(size, values, families), "families"


def _by_kind(known: pd.DataFrame, predictor: Predictor) -> tuple[Association, str]:
    """Compare kinds among sisters of one size where there are enough, else within families."""
    kinds, values = known[predictor].to_numpy(str), known["value"].to_numpy(np.float64)
    families = known["family"].to_numpy(str)
    sizes = known["family"].astype(str) + " " + known["parameters"].astype(str)
    found = kind_association(kinds, values, sizes.to_numpy(str))
    if found.within:
        return found, "families and sizes"
    return kind_association(kinds, values, families), "families"


def told(table: pd.DataFrame, test: Test) -> str:
    """Return what size and training have to do with a test, in one or two sentences.

    Args:
        table: As ``effects`` returns it.
        test: Which test.
    """
    said = []
    for _, row in table[table["test"] == test].iterrows():
        name = PREDICTORS[row["against"]]
        if np.isnan(row["p"]):
            said.append(f"{name}: {row['note']}.")
            continue
        figure = interval(Estimate(row["effect"], row["low"], row["high"]))
        chance = "" if row["against"] == "parameters" else f" (by chance {number(row['chance'])})"
        said.append(
            f"{name}: {figure}{chance} over {row['models']} models, p {_p(row['p'])}, "
            f"{_p(row['p_together'])} with all that are computable counted; {row['note']}."
        )
    return "  \n".join(said)


def _p(value: float) -> str:
    return "< 0.001" if value < 0.001 else number(value, 3)

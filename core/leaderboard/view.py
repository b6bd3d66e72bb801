"""What the leaderboard shows: runs that were measured alike, grouped, and what may be said."""

from typing import Final, Literal, get_args

import numpy as np
import pandas as pd

from core.activations.prompts import ReadSpec
from core.diagnosis.diagnosis import DiagnosisSpec
from core.diagnosis.leaderboard_rows import STEERED
from core.measures.result import HEADLINES, Test
from core.statistics.bootstrap import Estimate
from core.wording import interval, number

Group = Literal["training", "family", "size", "architecture"]
#: By what models can be grouped; the last is measured, the others are what a sweep's list says.
GROUPS: Final[tuple[Group, ...]] = get_args(Group)
#: Columns that say how a run was measured: only rows that share them may be compared.
_SETTINGS: Final = ("template", "pooling", "scaling", "draws", "shuffles", "seed")
_UNSTATED: Final = "not stated"


def settings(board: pd.DataFrame) -> list[str]:
    """Return how runs were measured, the plain way first, then the most frequent.

    Args:
        board: As ``leaderboard_rows.leaderboard`` returns it.
    """
    if board.empty:
        return []
    counted = _settings_of(board)[board["test"] == "gradient"].value_counts()
    plain, read = DiagnosisSpec(), ReadSpec()
    first = _spelled(
        pd.Series({"template": read.template, **{k: getattr(plain, k) for k in _SETTINGS[1:]}})
    )
    return sorted(counted.index, key=lambda one: (one != first, -counted[one], one))


def measured_so(board: pd.DataFrame, setting: str, group: Group) -> pd.DataFrame:
    """Return the rows measured in one way, with their ``group``; NaN where nothing is known.

    Args:
        board: As ``leaderboard_rows.leaderboard`` returns it.
        setting: One of ``settings``.
        group: By what models are grouped.
    """
    rows = board[_settings_of(board) == setting].reset_index(drop=True)
    stated = rows[group].astype(object).where(rows[group].notna() & (rows[group] != ""), _UNSTATED)
    names = rows["name"].astype(str)
    several = rows.groupby("name")["run"].transform("nunique") > 1
    rows["shown"] = names.where(~several, names + " · " + rows["run"].str[:6])
    return rows.assign(group=stated)


def _settings_of(board: pd.DataFrame) -> pd.Series:
    return board[list(_SETTINGS)].apply(_spelled, axis=1)


def _spelled(row: pd.Series) -> str:
    return (
        f"{row['template']} · {row['pooling']} · {row['scaling']} · {int(row['draws']):,} resamples"
        f" · {int(row['shuffles']):,} shuffles · seed {int(row['seed'])}"
    )


def estimate(row: pd.Series, name: str = "value") -> Estimate:
    """Return a figure of a row with its interval; ``name`` is ``value``, a control, ..."""
    ends = ("low", "high") if name == "value" else (f"{name}_low", f"{name}_high")
    value, low, high = (row[one] for one in (name, *ends))
    return Estimate(*(np.nan if pd.isna(one) else float(one) for one in (value, low, high)))


def counted(rows: pd.DataFrame) -> str:
    """Return how many models, aligned selves and untrained copies there are, in words."""
    runs = rows.drop_duplicates("run")
    copies = sum("untrained=" in str(model) for model in runs["model"])
    edited = sum(STEERED in str(identity) for identity in runs["identity"])
    counts = {
        ("model", "models"): len(runs) - copies - edited,
        ("aligned self", "aligned selves"): edited,
        ("untrained copy", "untrained copies"): copies,
    }
    told = [f"{count} {names[count != 1]}" for names, count in counts.items() if count]
    return ", ".join(told) or "0 models"


def of_test(rows: pd.DataFrame, test: Test) -> pd.DataFrame:
    """Return one test's rows, the highest figure first; those without one last."""
    some = rows[rows["test"] == test]
    return some.sort_values(["value", "shown"], ascending=[False, True], na_position="last")


def lead(rows: pd.DataFrame, test: Test) -> str:
    """Return who leads a test and whether that is more than noise, in one sentence.

    Who was trained on the labels is not asked.
    """
    ranked = of_test(rows[rows["level"] != "taught"], test)
    known = ranked[ranked["value"].notna()]
    if known.empty:
        return f"{test.capitalize()}: no model's figure could be computed."
    first = known.iloc[0]
    said = f"{test.capitalize()} ({HEADLINES[test]}): {first['shown']} {interval(estimate(first))}"
    rivals = known.iloc[1:]
    if rivals.empty:
        return f"{said}, the only one measured; {first['verdict']}."
    close = rivals[rivals["high"] >= first["low"]]
    if len(close):
        return (
            f"{said} is highest, but the intervals of {len(close)} of {len(rivals)} others reach "
            f"into its own: no difference from them beyond noise can be read off; "
            f"{first['verdict']}."
        )
    return f"{said} is highest; no other's interval reaches into its own; {first['verdict']}."


def averages(rows: pd.DataFrame, test: Test) -> pd.DataFrame:
    """Return each group's models, lowest, median and highest figure of one test."""
    known = of_test(rows, test).dropna(subset=["value"])
    found = known.groupby("group")["value"].agg(["count", "min", "median", "max"]).reset_index()
    beyond = known[known["level"] == "beyond"].groupby("group").size()
    found["beyond the controls that ran"] = found["group"].map(beyond).fillna(0).astype(int)
    return found.rename(columns={"count": "models", "min": "lowest", "max": "highest"})


def spoken(rows: pd.DataFrame, test: Test) -> str:
    """Return one test's figures as text, for those who do not see the picture."""
    told = [f"{row['shown']} {number(row['value'])}" for _, row in of_test(rows, test).iterrows()]
    return f"{test}: " + "; ".join(told[:12]) + (f"; and {len(told) - 12} more" * (len(told) > 12))

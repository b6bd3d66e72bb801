"""A claim: which models, which figure, on which side of what; checked key by key."""

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Final, Literal, get_args

from core import CoreError
from core.diagnosis.verdicts import CONTROLS
from core.foundations import DIMENSIONS, FOUNDATIONS
from core.leaderboard.effects import Predictor
from core.measures.result import ALL, HEADLINES, TESTS, Test
from core.models.spec import ModelSpec

Direction = Literal["above", "below", "within"]
Layers = Literal["chosen", "every", "some"]
Statistic = Literal["repaired", "paper"]

#: Test -> its figures that a claim can be about, the headline first, each with its range.
FIGURES: Final[dict[Test, dict[str, tuple[float, float]]]] = {
    "categorical": {
        HEADLINES["categorical"]: (-1, 2),
        "corrected excess opposition": (-1, 2),
        "opposition": (-1, 1),
        "corrected opposition": (-1, 1),
    },
    "gradient": {
        HEADLINES["gradient"]: (-1, 1),
        "typicality with neutrals": (-1, 1),
        "own minus opposed": (-1, 1),
    },
    "structural": {
        HEADLINES["structural"]: (-1, 1),
        "NMI of k-means": (0, 1),
        "ARI of HDBSCAN": (-1, 1),
        "ARI without noise": (-1, 1),
        "neighbour purity": (0, 1),
        "silhouette": (-1, 1),
    },
    "dimensional": {
        HEADLINES["dimensional"]: (-1, 1),
        "R² weighted": (-1, 1),
        "rank correlation": (-1, 1),
        "AUROC": (0, 1),
    },
}
#: What the paper's own procedure gives for each test: the first bar of the waterfall, its range.
PAPER_FIGURES: Final[dict[Test, tuple[str, float, float]]] = {
    "categorical": ("opposition", -1, 1),
    "gradient": ("typicality with neutrals", -1, 1),
    "structural": ("ARI without noise", -1, 1),
    "dimensional": ("R² of the trained probe", -1, 1),
}
#: Parts that are the mean of five: each foundation's pole of that kind.
POLES: Final = {"virtue": DIMENSIONS[0::2], "vice": DIMENSIONS[1::2]}
#: Test -> of whom its figures may speak.
PARTS: Final[dict[Test, tuple[str, ...]]] = {
    "categorical": (ALL, *FOUNDATIONS),
    "gradient": (ALL, *POLES, *DIMENSIONS),
    "structural": (ALL, "foundations", "polarity"),
    "dimensional": (ALL, *POLES, *DIMENSIONS),
}
#: What a figure can be held against in place of a bare number.
NULLS: Final = ("shuffled", *CONTROLS, *POLES)
#: All models at hand; the 23 of the paper.
EVERYONE: Final = "all"
PAPERS: Final = "paper"
_LABELS: Final = ("family", "size", "training")
_CHOICES: Final[dict[str, tuple[str, ...]]] = {
    "test": TESTS,
    "statistic": get_args(Statistic),
    "layers": get_args(Layers),
    "direction": get_args(Direction),
    "null": NULLS,
    "effect_of": get_args(Predictor),
}
_EXAMPLE: Final = (
    '[[claim]]\nname = "Typicality stays low"\ntest = "gradient"\ndirection = "below"\n'
    "threshold = 0.55"
)


class ClaimError(CoreError):
    """A claim cannot mean anything."""


@dataclass(frozen=True)
class Claim:
    """One claim, checked."""

    name: str
    """What it is called; no two of a docket are called the same."""

    test: Test
    """Which of the four tests."""

    direction: Direction
    """On which side of the threshold the figure is said to lie; ``within``: nearer to 0 than it."""

    threshold: float
    """The bound; for an absence (``within``) the largest difference that counts as none."""

    says: str = ""
    """In whose words."""

    source: str = ""
    """Where it is said."""

    models: tuple[str, ...] | Mapping[str, str] | Literal["all", "paper"] = "all"
    """Who: text forms of models, labels of a group such as ``training = "base"``, ``all`` at hand,
    or the 23 of the ``paper``."""

    items: str = ""
    """Name of the set it speaks of; empty: the set that the court sits over."""

    figure: str = ""
    """Which figure; empty: the test's headline."""

    part: str = ALL
    """Of whom the figure speaks."""

    statistic: Statistic = "repaired"
    """The repaired figure, or what the paper's own procedure gives."""

    layers: Layers = "chosen"
    """Of the layer that the headline chose on half of the texts (a headline of all is reported on
    the other half, other figures on all texts), of every decoder layer, or of at least one."""

    null: str = ""
    """What is taken off the figure before it is held against the threshold; empty: nothing."""

    effect_of: Predictor | Literal[""] = ""
    """Over models: what their figures are said (not) to go with; empty: a claim of each model."""

    @property
    def halved(self) -> bool:
        """Whether its figure is reported on the half of the texts that did not choose its layer."""
        plain = self.figure == HEADLINES[self.test] and self.part == ALL
        return self.layers == "chosen" and plain and self.null not in POLES

    @property
    def null_name(self) -> str:
        """What is taken off the figure, in words; empty: nothing."""
        named = {"shuffled": "shuffled labels", **{one: f"that of {one}" for one in POLES}}
        return {**named, **CONTROLS, "": ""}[self.null]

    def told(self) -> str:
        """Return what is claimed, in words."""
        if self.effect_of:
            name = "Spearman's ρ" if self.effect_of == "parameters" else "η² of ranks"
            what = f"{name} of {self.figure} with {self.effect_of}, over models"
        else:
            what = self.figure + ("" if self.part == ALL else f" of {self.part}")
            what += f" minus {self.null_name}" if self.null else ""
            if self.statistic == "paper":
                what += ", as the paper computes it"
            else:
                where = {"every": "every layer", "some": "some layer"}
                own = "its chosen layer" if self.halved else "the headline's layer, all texts"
                what += f", at {where.get(self.layers, own)}"
        bound = f"{self.threshold:g}".replace("-", "−")
        side = f"within ±{bound}" if self.direction == "within" else f"{self.direction} {bound}"
        return f"{what}: {side}"


def claim_of(keys: Any) -> Claim:
    """Check one ``[[claim]]`` table.

    Raises:
        ClaimError: A key or a value cannot be meant; it says what can.
    """
    if not isinstance(keys, Mapping):
        raise ClaimError(f"it is not a table. A claim looks like this:\n{_EXAMPLE}")
    known = tuple(field.name for field in fields(Claim))
    for key in keys:
        if key not in known:
            raise ClaimError(
                f"unknown key {key!r}: {_meant(key, known)}Possible keys: {', '.join(known)}."
            )
    _check_types(keys)
    for key, possible in _CHOICES.items():
        _check_choice(keys, key, possible)
    test: Test = keys["test"]
    _check_choice(keys, "figure", tuple(FIGURES[test]), f" of the {test} test")
    _check_choice(keys, "part", PARTS[test], f" in the {test} test")
    if keys.get("null") in POLES:
        _check_choice({"null": keys["null"]}, "null", PARTS[test], f" in the {test} test")
    figure = PAPER_FIGURES[test][0] if keys.get("statistic") == "paper" else HEADLINES[test]
    claim = Claim(
        **{**keys, "figure": keys.get("figure") or figure, "models": _models(keys.get("models"))}
    )
    _check_together(claim)
    _check_threshold(claim)
    return claim


def _meant(asked: str, possible: tuple[str, ...]) -> str:
    near = difflib.get_close_matches(asked, possible, 1)
    return f"Did you mean {near[0]}? " if near else ""


def _check_types(keys: Mapping[str, Any]) -> None:
    for key in ("name", "test", "direction", "threshold"):
        if key not in keys or keys[key] == "":
            raise ClaimError(f"{key} is missing. A claim looks like this:\n{_EXAMPLE}")
    for key, value in keys.items():
        if key == "threshold":
            if not isinstance(value, int | float) or isinstance(value, bool):
                raise ClaimError("threshold must be a number.")
        elif key != "models" and not isinstance(value, str):
            raise ClaimError(f'{key} must be a text in quotes, such as {key} = "…".')


def _check_choice(
    keys: Mapping[str, Any], key: str, possible: tuple[str, ...], where: str = ""
) -> None:
    """Refuse a word that is none of the possible ones."""
    asked = keys.get(key, possible[0])
    if asked not in possible:
        raise ClaimError(
            f"there is no {key.replace('_', ' ')} {asked[:60]!r}{where}. {_meant(asked, possible)}"
            f"Possible: {', '.join(possible)}."
        )


def _models(asked: Any) -> Any:
    """Return whom a claim speaks of.

    Raises:
        ClaimError: It is neither a list of models, nor labels, nor one of the words.
    """
    if asked in (None, EVERYONE, PAPERS):
        return asked or EVERYONE
    if isinstance(asked, Mapping):
        odd = [key for key in asked if key not in _LABELS or not isinstance(asked[key], str)]
        if odd or not asked:
            raise ClaimError(
                f"a group of models is named by {', '.join(_LABELS)}, such as "
                'models = {training = "base"}.'
            )
        return dict(asked)
    if not isinstance(asked, list) or not asked or not all(isinstance(one, str) for one in asked):
        raise ClaimError(
            'models must be "all", "paper", a list such as ["packaged", "fetched:smollm2"], or a '
            'group such as {training = "base"}.'
        )
    try:
        return tuple(dict.fromkeys(str(ModelSpec.parse(one)) for one in asked))
    except CoreError as error:
        raise ClaimError(str(error)) from error


def _check_together(claim: Claim) -> None:
    """Refuse keys that exclude each other."""
    plain = (claim.part, claim.null, claim.layers) == (ALL, "", "chosen")
    usual = claim.figure == HEADLINES[claim.test]
    if claim.effect_of and not (plain and usual and claim.statistic == "repaired"):
        raise ClaimError(
            "over models there is one repaired headline figure of each: leave figure, part, null, "
            "layers and statistic out beside effect_of."
        )
    papers = claim.figure == PAPER_FIGURES[claim.test][0]
    if claim.statistic == "paper" and not (plain and papers):
        raise ClaimError(
            "the paper's own figure is one per test and chooses its own layer: leave figure, part, "
            'null and layers out beside statistic = "paper".'
        )


def _check_threshold(claim: Claim) -> None:
    """Refuse a threshold that no figure could ever reach."""
    low, high = FIGURES[claim.test].get(claim.figure, PAPER_FIGURES[claim.test][1:])
    if claim.null:
        low, high = low - high, high - low
    if claim.effect_of:
        low, high = (-1.0, 1.0) if claim.effect_of == "parameters" else (0.0, 1.0)
    if claim.direction == "within":
        low = 0.0
    if not low <= claim.threshold <= high or (claim.direction == "within" and not claim.threshold):
        what = "an equivalence bound (above 0)" if claim.direction == "within" else "a threshold"
        raise ClaimError(
            f"{claim.threshold:g} is outside the range of {claim.figure}: {what} lies between "
            f"{low:g} and {high:g}."
        )

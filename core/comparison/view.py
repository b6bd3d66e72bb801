"""What the comparison page shows: the headline, tables with texts, curves on one depth axis."""

from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from core.comparison.differences import Difference, most_different
from core.comparison.joint_maps import SharedMap
from core.comparison.pairs import Comparison, SideMap
from core.comparison.profiles import Profile
from core.comparison.sides import LETTERS, Side, depth_of
from core.diagnosis.diagnosis import Diagnosis
from core.diagnosis.templates import Phrasing
from core.foundations import FOUNDATIONS
from core.layers import EMBEDDING, layer_name
from core.maps.displacement import displacement
from core.maps.joint import Joint
from core.maps.scene import Arrows
from core.maps.view import Colouring
from core.measures.result import TESTS, Test
from core.palette import CONTROL
from core.statistics.bootstrap import Estimate
from core.wording import interval, number

#: What a larger and a smaller figure of a test mean, said of a model.
_MORE: Final[dict[Test, str]] = {
    "categorical": "keeps virtue and vice further apart",
    "gradient": "grades actions more as people do",
    "structural": "has groups that follow morality more",
    "dimensional": "lets the ten dimensions be read off better",
}
_LESS: Final[dict[Test, str]] = {
    "categorical": "keeps virtue and vice closer together",
    "gradient": "grades actions less as people do",
    "structural": "has groups that follow morality less",
    "dimensional": "lets the ten dimensions be read off less well",
}
#: What may be said about a difference, by its level.
VERDICTS: Final = {
    "beyond": "differs beyond noise",
    "taught": "differs, as trained on these labels: no evidence",
    "labels": "no more than shuffled labels differ",
    "noise": "no difference beyond noise",
    "nothing": "not computable",
}
#: Items of a joint map that are joined by an arrow: more are a haystack.
MOST_ARROWS: Final = 80
_OTHERS: Final = {
    1: "the other test shows",
    2: "the other two tests show",
    3: "the other three tests show",
}
#: Short names of the tests, as in a list.
NAMES: Final[dict[Test, str]] = {
    "categorical": "excess opposition",
    "gradient": "typicality",
    "structural": "clusters",
    "dimensional": "linear probe",
}


def headline(differences: Sequence[Difference], first: str = "A", second: str = "B") -> str:
    """Say in one sentence what differs between two sides, or that nothing does.

    Args:
        differences: Of the four tests.
        first: How the first side is called.
        second: How the second side is called.
    """
    sure = [one for one in differences if one.level in ("beyond", "taught")]
    known = len([one for one in differences if one.level != "nothing"])
    if not known:
        return f"{second} and {first} cannot be compared: no test is computable for both."
    if not sure:
        tests = "the four tests" if known == len(TESTS) else f"the {known} computable tests"
        return f"No difference beyond noise between {second} and {first} in any of {tests}."
    *before, last = [_phrase(one) for one in sure]
    said = f"{', '.join(before)} and {last}" if before else last
    others = known - len(sure)
    rest = f"; {_OTHERS[others]} no difference beyond noise" if others else ""
    if sure[0].level == "taught":
        return (
            f"{second} was trained on labels of these actions, so what differs is no evidence: "
            f"compared with {first}, it {said}{rest}."
        )
    return f"Compared with {first}, {second} {said}{rest}."


def _phrase(one: Difference) -> str:
    return (_MORE if one.difference.value > 0 else _LESS)[one.test]


def sure_sentence(differences: Sequence[Difference]) -> str:
    """Return the tests that differ with their intervals; empty if none does."""
    sure = [one for one in differences if one.level in ("beyond", "taught")]
    if not sure:
        return ""
    told = ", ".join(f"{NAMES[one.test]} {interval(one.difference, signed=True)}" for one in sure)
    taught = "; trained on these labels: no evidence" if sure[0].level == "taught" else ""
    return f"{told} (intervals that hold together with 95 %{taught})"


def unsure_sentence(differences: Sequence[Difference]) -> str:
    """Name the tests that show no difference, each with its interval and why; empty if all do."""
    parts = []
    for level in ("noise", "labels", "nothing"):
        told = [
            NAMES[one.test]
            if level == "nothing"
            else f"{NAMES[one.test]} {interval(one.difference, signed=True)}"
            for one in differences
            if one.level == level
        ]
        if told:
            parts.append(f"{', '.join(told)} ({VERDICTS[level]})")
    return "; ".join(parts)


def templates_sentence(
    test: Test, first: Sequence[Phrasing], second: Sequence[Phrasing], name: str = "B"
) -> str:
    """Say how far a difference hangs on the template: both sides under the same, one by one.

    Args:
        test: Which test.
        first: What A gives under several templates; none where only one was read.
        second: The same of the other side.
        name: How the other side is called.

    Returns:
        Empty where fewer than two templates were read by both.
    """
    own = {one.name: one.figures.get(test, np.nan) for one in first}
    found = np.array([one.figures.get(test, np.nan) - own.get(one.name, np.nan) for one in second])
    found = found[np.isfinite(found)]
    if len(found) < 2:
        return ""
    low, high = (number(end, signed=True) for end in (found.min(), found.max()))
    return (
        f"{name} − A under each of {len(found)} templates: {low} to {high}, sd "
        f"{number(found.std(ddof=1), 3)}"
    )


def alike_sentence(made: Comparison) -> str:
    """Say how alike the states of two sides are, beside random pairings of the texts."""
    alike, shared = made.cka, made.overlap
    near, random = shared.observed, shared.shuffled
    states = (
        "their states cannot be compared"
        if np.isnan(alike.observed.value)
        else f"CKA {interval(alike.observed)} (texts paired at random {interval(alike.shuffled)})"
    )
    return (
        f"{states}; they share {near.value:.0%} [{near.low:.0%}, {near.high:.0%}] of an action's "
        f"10 nearest actions (at random {random.value:.1%})."
    )


def items_sentence(made: Comparison) -> str:
    """Say how many items two sides place differently beyond noise."""
    scored = int(np.isfinite(made.items.value).sum())
    sure = int(made.items.sure.sum())
    if not scored:
        return "No action has a place within its pole in both."
    if not sure:
        return (
            f"None of {scored:,} actions is placed differently within its pole beyond what the "
            "choice of texts explains."
        )
    return (
        f"{sure:,} of {scored:,} actions are placed differently within their pole, beyond what the "
        "choice of texts explains even for the largest of so many."
    )


def moved_sentence(picture: SideMap) -> str:
    """Say how far items moved, beside how far they move between halves of the first side.

    Nothing as long as the latter is not measured.
    """
    if picture.noise is None:
        return ""
    known = picture.moved[np.isfinite(picture.moved)]
    share = float((known > picture.noise.most).mean())
    return (
        f"Half of the actions lie more than {np.median(known):.2f} from their place in A; between "
        f"pictures of two halves of A's texts {picture.noise.typical:.2f}. {share:.0%} move "
        f"further than 95 % do there ({picture.noise.most:.2f})."
    )


def joint_sentence(joint: Joint, name: str = "B") -> str:
    """Say how far two models can be laid on each other, beside texts paired at random."""
    return (
        f"Turned onto A, {name}'s states are alike by {interval(joint.alignment)} (1: the same, "
        f"turned; texts paired at random {interval(joint.shuffled)}). Half of the actions lie "
        f"within {number(joint.typical)} of themselves, in typical distances of different actions "
        f"(paired at random {number(joint.random)})."
    )


def joint_arrows(made: SharedMap, chosen: NDArray[np.bool_]) -> Arrows:
    """Return arrows from A's place of an item to B's: of the chosen items, else the furthest."""
    far = displacement(made.second, made.first)
    known = np.isfinite(far)
    if (known & chosen).any():
        known &= chosen
    rows = np.flatnonzero(known)
    rows = np.sort(rows[np.argsort(-far[rows], kind="stable")][:MOST_ARROWS])
    return Arrows(made.first[rows], made.second[rows], CONTROL, "Moves", rows)


def joint_table(joint: Joint, name: str = "B") -> pd.DataFrame:
    """Return a joint map's figures, one row each: figure, value, low, high, paired at random."""
    nothing = (np.nan, np.nan)
    rows = [
        ("alignment of the states", *joint.alignment, joint.shuffled.value),
        ("distance of a text from itself", joint.typical, *nothing, joint.random),
        *(
            (f"trustworthiness of {letter}'s half", *one.figures[0], random)
            for letter, one, random in zip(
                ("A", name), joint.pair.trust, joint.random_trust, strict=True
            )
        ),
    ]
    return pd.DataFrame(rows, columns=["figure", "value", "low", "high", "paired at random"])


# --- tables ---


def difference_table(pairs: Sequence[tuple[str, Sequence[Difference]]]) -> pd.DataFrame:
    """Return every paired difference, one row each.

    Columns: pair, test, first, first_low, first_high, second, second_low, second_high, difference,
    low, high, shuffled, shuffled_low, shuffled_high, verdict.

    Args:
        pairs: Name of each pair and its four differences.
    """
    rows = [
        (
            name,
            NAMES[one.test],
            *one.first,
            *one.second,
            *one.difference,
            *one.shuffled,
            VERDICTS[one.level],
        )
        for name, differences in pairs
        for one in differences
    ]
    ends = [
        f"{name}{end}"
        for name in ("first", "second", "", "shuffled")
        for end in ("", "_low", "_high")
    ]
    columns = ["difference" if not end else end.removeprefix("_") for end in ends]
    return pd.DataFrame(rows, columns=["pair", "test", *columns, "verdict"])


def item_table(made: Comparison, picture: SideMap | None = None) -> pd.DataFrame:
    """Return the items of a comparison, the largest difference first, neutral ones left out.

    Columns: item, text, foundation, pole, grade, first, second (percentiles within the pole),
    difference, low, high, sure, first_closeness, second_closeness (cosines), shared_neighbours and,
    with a picture, moved (in units of the map).
    """
    items, rows = made.first.study.items, most_different(made.items)
    found = made.items
    table = pd.DataFrame(
        {
            "item": items.item[rows],
            "text": np.array(items.texts(), object)[rows],
            "foundation": np.array(FOUNDATIONS)[items.foundation[rows]],
            "pole": items.pole[rows],
            "grade": items.grade[rows],
            "first": found.first[rows],
            "second": found.second[rows],
            "difference": found.value[rows],
            "low": found.low[rows],
            "high": found.high[rows],
            "sure": found.sure[rows],
            "first_closeness": found.first_close[rows],
            "second_closeness": found.second_close[rows],
            "shared_neighbours": made.overlap.share[rows],
        }
    )
    if picture is not None:
        table["moved"] = picture.moved[rows]
    return table


def cka_table(profile: Profile) -> pd.DataFrame:
    """Return CKA of all pairs of layers, one row each: layer, other, debiased, plain; −1: emb."""
    n, m = profile.debiased.shape
    first, second = np.meshgrid(np.arange(n) + EMBEDDING, np.arange(m) + EMBEDDING, indexing="ij")
    return pd.DataFrame(
        {
            "layer": first.ravel(),
            "other": second.ravel(),
            "debiased": profile.debiased.ravel(),
            "plain": profile.plain.ravel(),
        }
    )


def overlap_table(profiles: Sequence[Profile], first: Side) -> pd.DataFrame:
    """Return shared neighbours at each depth, one row each.

    Columns: side, layer, other, shared, low, high, chance, chance_low, chance_high; −1: embedding.
    """
    rows = [
        (letter, layer, int(profile.partner[row]), *profile.overlap[row], *profile.chance[row])
        for letter, profile in zip(LETTERS[1:], profiles, strict=False)
        for row, layer in enumerate(first.study.plan.layers)
    ]
    ends = ["shared", "low", "high", "chance", "chance_low", "chance_high"]
    return pd.DataFrame(rows, columns=["side", "layer", "other", *ends])


# --- colours of the maps ---


def moved_colouring(picture: SideMap, pictures: Sequence[SideMap]) -> Colouring:
    """Return displacement as a colour, on one scale for all pictures.

    Args:
        picture: Whose displacement.
        pictures: All that are shown; the scale ends at the 98th percentile of the furthest.
    """
    known = [one.moved[np.isfinite(one.moved)] for one in pictures]
    top = max((float(np.quantile(one, 0.98)) for one in known if len(one)), default=0.0)
    return Colouring("Moved", picture.moved, span=(0.0, max(top, 1e-6)))


def difference_colouring(made: Comparison) -> Colouring:
    """Return the difference in typicality as a colour: above 0 the second finds it more typical."""
    return Colouring("Typicality minus A's", made.items.value, span=(-1, 1), diverging=True)


# --- curves ---


class DepthCurve(NamedTuple):
    """One test of one side over its layers."""

    letter: str
    """Letter of the side."""

    depth: list[float]
    """0 for the embedding, 1 for the last layer."""

    layers: list[int]
    """Layers, ``EMBEDDING`` first."""

    figures: list[Estimate]
    """The headline with its 95 % interval, all texts."""


def depth_curves(diagnoses: Sequence[Diagnosis | None], test: Test) -> list[DepthCurve]:
    """Return a test of all sides on one depth axis; sides without a diagnosis are left out."""
    return [
        DepthCurve(
            letter,
            [depth_of(layer, one.study) for layer in one.layers],
            list(one.layers),
            [one.layers[layer].headline(test).observed for layer in one.layers],
        )
        for letter, one in zip(LETTERS, diagnoses, strict=False)
        if one is not None
    ]


def depth_table(diagnoses: Sequence[Diagnosis]) -> pd.DataFrame:
    """Return the four tests of all sides over depth, one row each.

    Columns: side, test, layer (−1: embedding), depth in [0, 1], value, low, high.
    """
    rows = [
        (curve.letter, NAMES[test], layer, depth, *figure)
        for test in TESTS
        for curve in depth_curves(diagnoses, test)
        for layer, depth, figure in zip(curve.layers, curve.depth, curve.figures, strict=True)
    ]
    return pd.DataFrame(rows, columns=["side", "test", "layer", "depth", "value", "low", "high"])


def at_layers(layers: tuple[int | None, int | None], letter: str) -> str:
    """Return at which layers A and another side are compared, in a few words."""
    first, other = ("none" if layer is None else layer_name(layer) for layer in layers)
    return f"layers A {first}, {letter} {other}"

"""Splits by text and the paper's stratified sample: both by hash, so that added rows move nothing.

A seeded shuffle would change every item's fate when one row is added; a hash of seed and content
keeps each item where it was.
"""

import hashlib
import unicodedata
from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from core.foundations import GRADES, TYPICAL_GRADE

#: Drawn per foundation and pole at each grade below 1 (arXiv 2603.15615, sample of 16k).
QUOTA: Final = 300
#: Drawn per foundation and pole at grade 1, the typical members.
QUOTA_TYPICAL: Final = 150
#: Drawn per foundation among the neutral.
QUOTA_NEUTRAL: Final = 300

SPLITS: Final = ("train", "validation", "test")
_TRAIN_SHARE: Final = 0.8
_VALIDATION_SHARE: Final = 0.1


def text_group(text: str) -> str:
    """Return what two spellings of one text share: NFKC, case folded, blanks, no final point.

    A text of nothing but punctuation keeps it.
    """
    plain = text if text.isascii() else unicodedata.normalize("NFKC", text)
    folded = " ".join(plain.casefold().split())
    end = len(folded)
    while end and (folded[end - 1] == " " or unicodedata.category(folded[end - 1])[0] == "P"):
        end -= 1
    return folded[:end] or folded


def units(groups: Sequence[str], situations: Sequence[str]) -> list[str]:
    """Return what each row is split and drawn with: its text's one situation, else its text.

    A text of several situations, or of a row that tells none, goes by itself: common texts would
    chain nearly all situations into one.

    Args:
        groups: Text group of each row.
        situations: Situation of each row, empty if not told.
    """
    found: dict[str, set[str]] = {}
    for group, situation in zip(groups, situations, strict=True):
        found.setdefault(group, set()).add(situation)
    names = {
        group: group if len(own) > 1 or "" in own else f"situation\0{min(own)}"
        for group, own in found.items()
    }
    return [names[group] for group in groups]


def split_of(unit: str, seed: int) -> str:
    """Return the split of all texts of one unit: 80 % train, 10 % validation, 10 % test."""
    digest = hashlib.sha256(f"{seed}\0{unit}".encode("utf-8", "surrogatepass")).digest()
    place = int.from_bytes(digest[:8], "big") / 2**64
    if place < _TRAIN_SHARE:
        return SPLITS[0]
    return SPLITS[1] if place < _TRAIN_SHARE + _VALIDATION_SHARE else SPLITS[2]


def strata(
    foundation: NDArray[np.int8], pole: NDArray[np.str_], grade: NDArray[np.float32]
) -> NDArray[np.int64]:
    """Return each item's stratum: foundation, pole and the nearest attainable grade.

    Args:
        foundation: Index into ``FOUNDATIONS``, shape ``(n,)``.
        pole: ``virtue``, ``vice`` or ``neutral``, shape ``(n,)``.
        grade: In [0, 1], shape ``(n,)``; grades between two attainable ones count as the nearer,
            the lower where both are as near.

    Returns:
        Shape ``(n,)``: ``foundation * 13 + cell``, cell 0..5 virtue by grade, 6..11 vice, 12
        neutral.
    """
    edges = (np.array(GRADES[:-1]) + np.array(GRADES[1:])) / 2
    step = np.searchsorted(edges, grade.astype(np.float64), side="left")
    n_grades = len(GRADES)
    cell = np.where(pole == "virtue", step, n_grades + step)
    cell = np.where(pole == "neutral", 2 * n_grades, cell)
    return foundation.astype(np.int64) * (2 * n_grades + 1) + cell


def quotas(stratum: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return how many items may be drawn from each item's stratum, shape ``(n,)``."""
    typical = GRADES.index(TYPICAL_GRADE)
    cell = stratum % (2 * len(GRADES) + 1)
    quota = np.full(len(stratum), QUOTA, dtype=np.int64)
    quota[(cell == typical) | (cell == len(GRADES) + typical)] = QUOTA_TYPICAL
    quota[cell == 2 * len(GRADES)] = QUOTA_NEUTRAL
    return quota


def diagnosis_rows(
    item: NDArray[np.str_], stratum: NDArray[np.int64], seed: int
) -> NDArray[np.int64]:
    """Return the rows of the paper's stratified sample, ascending.

    Every item gets a number from its id and the seed; of each stratum those with the smallest
    numbers are taken. So the draw depends neither on the order of the rows nor on other strata.

    Args:
        item: Stable ids, shape ``(n,)``.
        stratum: As from ``strata``, shape ``(n,)``.
        seed: Another seed draws another sample.
    """
    if not len(item):
        return np.zeros(0, dtype=np.int64)
    number = _numbers(item, seed)
    order = np.lexsort((item, number, stratum))
    ordered = stratum[order]
    starts = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]])
    rank = np.arange(len(order)) - np.repeat(starts, np.diff(np.r_[starts, len(order)]))
    chosen: NDArray[np.int64] = np.sort(order[rank < quotas(ordered)])
    return chosen


def _numbers(item: NDArray[np.str_], seed: int) -> NDArray[np.uint64]:
    """Mix each id (16 hex digits and a repeat number) with the seed: splitmix64.

    https://prng.di.unimi.it/splitmix64.c
    """
    pairs = [name.partition("-") for name in item.tolist()]
    base = np.array([int(head, 16) for head, _, _ in pairs], dtype=np.uint64)
    repeat = np.array([int(tail or 1) for _, _, tail in pairs], dtype=np.uint64)
    salt = int.from_bytes(hashlib.sha256(str(seed).encode()).digest()[:8], "big")
    mixed = base ^ np.uint64(salt) ^ (repeat * np.uint64(0x9E3779B97F4A7C15))
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        mixed = (mixed ^ (mixed >> np.uint64(shift))) * np.uint64(factor)
    mixed ^= mixed >> np.uint64(31)
    return mixed

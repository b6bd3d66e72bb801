"""A person as a judge: pairs in a random order, sides drawn at random, verdicts in a file.

A person sees each pair once: two showings of one pair would be remembered. Which side is which
follows from the person's name and the pair alone, so the same person sees the same sides again.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from core import CoreError
from core.evaluation.judging import Asked, Pair, Question, VerdictLog, both_orders
from core.evaluation.verdicts import Label, Showing
from core.runtime.store import Store, fingerprint

#: A file of verdicts is some kilobytes.
MOST_BYTES: Final = 5 * 10**6
_SWAPPED: Final[dict[Label, Label]] = {"first": "second", "second": "first", "tie": "tie"}


class PersonError(CoreError):
    """A name or a file of verdicts cannot be used."""


@dataclass(frozen=True)
class Person:
    """Who judges."""

    called: str
    """A name or sign of their own choice; it stays on this machine."""

    def __post_init__(self) -> None:
        if not self.called.strip() or len(self.called) > 60:
            raise PersonError("Give a name or sign of at most 60 characters.")

    @property
    def name(self) -> str:
        """What tables call them."""
        return self.called.strip()

    @property
    def key(self) -> Mapping[str, Any]:
        """Whose log it is."""
        return {"judge": "person", "name": self.name.casefold()}


class Blind(NamedTuple):
    """One pair as a person sees it."""

    question: Question
    """What is asked."""

    prompt: str
    """What both answer."""

    left: str
    """Shown on the left."""

    right: str
    """Shown on the right."""

    flipped: bool
    """Whether the arm's answer is the right one. Not shown."""

    orders: tuple[Asked, Asked]
    """The pair's showings, as judges know them."""


def queue(person: Person, pairs: Sequence[Pair]) -> list[Blind]:
    """Return pairs as a person sees them, in an order of their own; equal answers are left out.

    Args:
        person: Who.
        pairs: What is judged.
    """
    found: dict[str, Blind] = {}
    for pair in pairs:
        question, prompt, arm, other = pair
        if arm == other:
            continue
        orders = both_orders(*pair)
        drawn = fingerprint([person.name.casefold(), orders[0].digest])
        flipped = int(drawn[:8], 16) % 2 == 1
        left, right = (other, arm) if flipped else (arm, other)
        found.setdefault(drawn[8:], Blind(question, prompt, left, right, flipped, orders))
    return [found[name] for name in sorted(found)]


def say(log: VerdictLog, blind: Blind, side: Label) -> None:
    """Keep a person's verdict: the left one, the right one, or neither.

    Raises:
        CacheError: The disk is full or cannot be written.
    """
    arm_first = _SWAPPED[side] if blind.flipped else side
    log.add(blind.orders[0], arm_first)
    log.add(blind.orders[1], _SWAPPED[arm_first])


def undo(log: VerdictLog, blind: Blind) -> None:
    """Take a verdict back."""
    for one in blind.orders:
        log.forget(one)


def said(log: VerdictLog, pairs: Sequence[Pair]) -> list[Showing]:
    """Return what a person said of some pairs; missing where they were not asked."""
    return [log.showing(both_orders(*pair)) or Showing(None, None) for pair in pairs]


def verdict_file(log: VerdictLog) -> bytes:
    """Return a person's verdicts as a file that can be merged elsewhere: no texts, no arms."""
    return log.path.read_bytes() if log.path.is_file() else b""


def merge(store: Store, person: Person, data: bytes, known: Sequence[Asked]) -> int:
    """Take another machine's verdicts over, those on pairs that this run has.

    Args:
        store: Where logs lie.
        person: Whose verdicts they are.
        data: What ``verdict_file`` gave.
        known: The run's showings.

    Returns:
        How many showings were taken.

    Raises:
        PersonError: It is too large, no such file, or about other pairs.
    """
    if len(data) > MOST_BYTES:
        raise PersonError(f"A file of verdicts has at most {MOST_BYTES / 1e6:.0f} MB.")
    log, by_digest = VerdictLog(store, person), {one.digest: one for one in known}
    taken, lines = 0, 0
    for line in data.decode("utf-8", errors="replace").splitlines():
        try:
            kept = json.loads(line)
            digest, label = str(kept["showing"]), kept["label"]
        except (ValueError, KeyError, TypeError):
            continue
        lines += 1
        if digest in by_digest and label in ("first", "second", "tie"):
            if not log.has(by_digest[digest]):
                log.add(by_digest[digest], label)
            taken += 1
    if not lines:
        raise PersonError("This is no file of verdicts: take the one that the Evaluate page gives.")
    if not taken:
        raise PersonError(
            "These verdicts belong to another run: none is about a pair of this one. Choose the "
            "same prompts, arms and answers first."
        )
    return taken

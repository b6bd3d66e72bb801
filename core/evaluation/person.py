"""A person as a judge: pairs in a random order, sides drawn at random, verdicts in a file.

A person sees each pair once: two showings of one pair would be remembered. Which side is which
follows from the person's name and the pair alone, so the same person sees the same sides again.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
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


def people(store: Store, pairs: Sequence[Pair]) -> dict[str, list[Showing]]:
    """Return who has judged any of some pairs on this machine, and what they said of each."""
    found: dict[str, list[Showing]] = {}
    for path in sorted((store.root / "verdicts").glob("*.jsonl")):
        name = _person_of(path)
        showings = [] if name is None else said(VerdictLog(store, Person(name)), pairs)
        if name is not None and any(one.verdict != "missing" for one in showings):
            found[name] = showings
    return dict(sorted(found.items(), key=lambda one: one[0].casefold()))


def _person_of(path: Path) -> str | None:
    """Return the name in a person's log; None in that of a model, or of who never signed."""
    for line in path.read_text(encoding="utf-8").splitlines():
        if '"name"' not in line:
            continue
        try:
            told = json.loads(line)
            return str(told["name"]) if told["judge"] == "person" else None
        except (ValueError, KeyError, TypeError):
            continue
    return None


def verdict_file(log: VerdictLog) -> bytes:
    """Return a person's verdicts as a file that can be merged elsewhere: no texts, arms or name."""
    lines = [json.dumps({"showing": one, "label": label}) for one, label in log.labels.items()]
    return "".join(f"{line}\n" for line in lines).encode()


def merge(store: Store, person: Person, data: bytes, known: Sequence[Asked]) -> int:
    """Take another machine's verdicts over, those on pairs that this run has.

    Who has judged here already goes on with a file of their own, which holds what they said here or
    a part of it. Any other file of that name is someone else's.

    Args:
        store: Where logs lie.
        person: Whose verdicts they are.
        data: What ``verdict_file`` gave.
        known: The run's showings.

    Returns:
        How many showings were taken.

    Raises:
        PersonError: It is too large, no such file, about other pairs, or of another person of this
            name.
    """
    if len(data) > MOST_BYTES:
        raise PersonError(f"A file of verdicts has at most {MOST_BYTES / 1e6:.0f} MB.")
    told, by_digest = _told(data), {one.digest: one for one in known}
    if not told:
        raise PersonError("This is no file of verdicts: take the one that the Evaluate page gives.")
    taken = {one: label for one, label in told.items() if one in by_digest}
    if not taken:
        raise PersonError(
            "These verdicts belong to another run: none is about a pair of this one. Choose the "
            "same prompts, arms and answers first."
        )
    log = VerdictLog(store, person)
    here = {one: label for one, label in log.labels.items() if one in by_digest}
    if not (here.items() <= taken.items() or taken.items() <= here.items()):
        raise PersonError(
            f"{person.name} has judged {len(here) // 2} of these pairs here, and this file says "
            "something else. Two people of one name cannot be told apart: give the file's verdicts "
            f"another name, such as {person.name} 2."
        )
    for one, label in taken.items():
        if one not in here:
            log.add(by_digest[one], label)
    return len(taken)


def _told(data: bytes) -> dict[str, Label]:
    """Return what a file says of each showing, by digest; what was taken back is left out."""
    told: dict[str, Label] = {}
    for line in data.decode("utf-8", errors="replace").splitlines():
        try:
            kept = json.loads(line)
            digest, label = str(kept["showing"]), kept["label"]
        except (ValueError, KeyError, TypeError):
            continue
        if label in ("first", "second", "tie"):
            told[digest] = label
        else:
            told.pop(digest, None)
    return told

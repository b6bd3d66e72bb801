"""Dockets: many claims in one TOML file, judged one by one; a wrong one does not spoil the rest."""

import difflib
import json
import tomllib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final, NamedTuple, get_args

import numpy as np

from core import CoreError
from core.claims.claim import Claim, ClaimError, claim_of
from core.claims.evidence import Evidence
from core.claims.judge import OPEN, REASONS, RULE, Verdict, Weighed, Word
from core.leaderboard.model_list import PAPER
from core.wording import Lines, interval
from core.workbench import Workbench

#: The claims of arXiv 2603.15615.
PAPER_FILE: Final = Path(__file__).resolve().parents[1] / "data" / "paper-claims.toml"
#: A docket larger than this is none.
MOST_BYTES: Final = 1_000_000
#: Claims that are heard at once: each is a card.
MOST_CLAIMS: Final = 200
#: Models that are told one by one as text; JSON holds all.
_MOST_TOLD: Final = 5
_KEYS: Final = ("claim", "title")
_EXAMPLE: Final = (
    '[[claim]]\nname = "Typicality stays low"\ntest = "gradient"\ndirection = "below"\n'
    "threshold = 0.55"
)


class Entry(NamedTuple):
    """One claim of a docket."""

    name: str
    """What it is called."""

    claim: Claim | None
    """The claim; None: it cannot mean anything."""

    problem: str = ""
    """Why it cannot; empty otherwise."""


def read_docket(path: Path) -> list[Entry]:
    """Return the claims of a file; those that cannot mean anything carry the reason.

    Raises:
        CoreError: The file cannot be read, is too large, is no TOML, or holds no claim.
    """
    try:
        if path.stat().st_size > MOST_BYTES:
            raise CoreError(f"{path.name} is too large for a docket: more than 1 MB.")
        content = path.read_bytes()
    except OSError as error:
        raise CoreError(
            f"The docket {path} cannot be read: {error.strerror}. Name a TOML file, or {PAPER!r} "
            "for the claims of the paper."
        ) from error
    return docket_of(content, path.name)


def docket_of(content: bytes, name: str) -> list[Entry]:
    """Return the claims of a docket's text; see ``read_docket``."""
    if len(content) > MOST_BYTES:
        raise CoreError(f"{name} is too large for a docket: more than 1 MB.")
    try:
        found = tomllib.loads(content.decode("utf-8"))
    except (ValueError, RecursionError) as error:  # neither TOML nor UTF-8
        raise CoreError(
            f"{name} is not TOML: {error}. A docket looks like this:\n{_EXAMPLE}"
        ) from error
    odd = [key for key in found if key not in _KEYS]
    if odd:
        near = difflib.get_close_matches(odd[0], _KEYS, 1)
        meant = f" Did you mean {near[0]}?" if near else ""
        raise CoreError(
            f"{name} holds {odd[0]!r}, which is not known.{meant} A docket looks like this:\n"
            f"{_EXAMPLE}"
        )
    tables = found.get("claim")
    if not isinstance(tables, list) or not tables:
        raise CoreError(f"{name} holds no claim. A docket looks like this:\n{_EXAMPLE}")
    if len(tables) > MOST_CLAIMS:
        raise CoreError(
            f"{name} holds {len(tables):,} claims; {MOST_CLAIMS} at most are heard at once. "
            "Split it."
        )
    return _entries(tables)


def _entries(tables: Sequence[Any]) -> list[Entry]:
    entries: list[Entry] = []
    for number, keys in enumerate(tables, 1):
        named = keys.get("name") if isinstance(keys, Mapping) else None
        name = named if isinstance(named, str) and named else f"Claim {number}"
        try:
            if any(one.name == name for one in entries):
                raise ClaimError("another claim of this docket has this name: give it one.")
            entries.append(Entry(name, claim_of(keys)))
        except CoreError as error:
            entries.append(Entry(name, None, str(error)))
    return entries


def hear(work: Workbench, entries: Sequence[Entry], set_name: str) -> list[Verdict]:
    """Return the verdict on each claim, from what is cached.

    Args:
        work: The process's workbench.
        entries: The docket.
        set_name: The set that claims without one of their own speak of.

    Raises:
        CoreError: There is no such set.
    """
    benches = {set_name: Evidence(work, set_name)}
    found = []
    for entry in entries:
        if entry.claim is None:
            found.append(Verdict(entry.name, OPEN, f"It means nothing: {entry.problem}"))
            continue
        on = entry.claim.items or set_name
        try:
            benches.setdefault(on, benches[on] if on in benches else Evidence(work, on))
            found.append(benches[on].hear(entry.claim))
        except CoreError as error:
            found.append(Verdict(entry.name, OPEN, str(error), entry.claim))
    return found


# --- told ---


def counted(verdicts: Sequence[Verdict | Weighed]) -> str:
    """Return how many claims, or models, got which verdict, in words."""
    words = Counter(one.word for one in verdicts)
    return ", ".join(f"{words[word]} {word}" for word in get_args(Word))


def reasons(verdicts: Sequence[Verdict]) -> str:
    """Return why how many claims cannot be decided, in one sentence; empty: all can."""
    kinds = Counter(one.reason for one in verdicts if one.word == OPEN)
    told = [f"{kinds[one]} {words}" for one, words in REASONS.items() if kinds[one]]
    return f"Not decidable: {'; '.join(told)}." if told else ""


def text(verdicts: Sequence[Verdict]) -> Lines:
    """Yield a docket's verdicts as text."""
    for one in verdicts:
        yield f"{one.word.upper()}  {one.name}"
        if one.claim is not None:
            yield f"  claimed  {one.claim.told()}"
        yield f"  why      {one.why}"
        for each in one.models[:_MOST_TOLD]:
            yield from _model(each, alone=len(one.models) == 1)
        if more := one.models[_MOST_TOLD:]:
            yield f"  - and {len(more)} more: {counted(more)}."
        yield ""
    yield f"{len(verdicts)} claims: {counted(verdicts)}. {reasons(verdicts)}".rstrip()
    yield RULE


def _model(each: Weighed, *, alone: bool) -> Lines:
    if not alone:
        yield f"  - {each.witness.name}: {each.word}. {each.why}"
    told = [f"{name} {interval(one)}" for name, one in each.beside.items()]
    told += [each.witness.mark] if each.witness.mark else []
    if told:
        yield f"    beside: {'; '.join(told)}"


def records(verdicts: Sequence[Verdict]) -> list[dict[str, Any]]:
    """Return verdicts with claim, figures, controls and receipts as JSON values."""
    return [_plain(asdict(one)) for one in verdicts]


def json_text(verdicts: Sequence[Verdict]) -> str:
    """Return ``records`` as JSON text."""
    kept = {"rule": RULE, "verdicts": records(verdicts)}
    return json.dumps(kept, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def _plain(value: Any) -> Any:
    """Return JSON values: NaN is null, an estimate an object."""
    if isinstance(value, tuple) and hasattr(value, "_asdict"):
        return _plain(value._asdict())
    if isinstance(value, Mapping):
        return {str(key): _plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    if isinstance(value, np.generic):
        value = value.item()
    return None if isinstance(value, float) and not np.isfinite(value) else value

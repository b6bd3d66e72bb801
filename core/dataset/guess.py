"""Which column of a person's own table holds what, guessed by the columns' names and values.

A guess is filled in for the person to see and correct, so every one has its reason; where two
columns compete none is taken, and that is said.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from core.dataset.cells import MISSING_CELLS, parse_foundations, parse_number, parse_sign
from core.dataset.records import trimmed

#: The three ways to say how good or bad an action is; a table needs one of them.
WAYS: Final = ("judgement", "score", "pole")
#: What may come with one of them: how far people agree, how typical the action is.
SCALED_BY: Final = {"judgement": "agreement", "pole": "grade"}

#: The reasons; the first alone is hardly a guess.
BY_NAME: Final = "by its name"
BY_BOTH: Final = "by its name and values"
BY_VALUES: Final = "by its values"

#: Role -> plain names that mean it, then names that often do and have to be borne out by values.
_NAMES: Final = {
    "action": (
        "action actions actiontext",
        "text texts sentence sentences behaviour behavior act prompt statement scenario situation "
        "content description utterance message tweet post comment input phrase story body vignette",
    ),
    "foundations": (
        "foundations foundation moralfoundations moralfoundation rotmoralfoundations",
        "category categories dimension dimensions domain axis mft mf mftcategory moralcategory "
        "moraldomain moraldimension moralvalue value label labels class topic",
    ),
    "judgement": (
        "judgement judgment moraljudgement moraljudgment actionmoraljudgement actionmoraljudgment",
        "label verdict valence judgementscore judgmentscore evaluation",
    ),
    "agreement": ("agreement agree actionagree", "consensus"),
    "score": ("score moralscore signedscore", "rating valence morality polarity sentiment"),
    "pole": (
        "pole moralpole virtuevice virtueorvice viceorvirtue",
        "valence polarity sign sentiment judgement judgment moraljudgement moraljudgment label "
        "verdict morality virtue vice stance side",
    ),
    "grade": (
        "grade typicality membership",
        "score weight strength intensity degree rating severity",
    ),
    "identifier": ("id itemid annotationid identifier", "annotation key"),
}
#: Role -> what it is called in a sentence.
_CALLED: Final = {
    "action": "a text",
    "foundations": "moral foundations",
    "judgement": "a judgement from -2 to 2",
    "agreement": "an agreement",
    "score": "a score from -1 to 1",
    "pole": "a pole",
    "grade": "a grade from 0 to 1",
    "identifier": "an id",
}
#: Role -> what follows where no column holds it.
_WITHOUT: Final = {
    "agreement": "every judgement counts as fully agreed on",
    "grade": "every text counts as 1",
}
#: Of two columns of texts the longer one is taken from this ratio of mean lengths on.
_CLEARLY_LONGER: Final = 2.0

Cells = Sequence[str]


@dataclass(frozen=True)
class ColumnGuess:
    """What was guessed, why, and what was left open."""

    columns: dict[str, str]
    """Role -> column; roles are the fields of ``ColumnMapping``."""

    reasons: dict[str, str]
    """Role -> why this column, such as ``by its name``; for every role in ``columns``."""

    open: dict[str, str]
    """Role, or the ways joined by ``or`` -> a sentence on why no column was taken."""


def guess_columns(columns: Sequence[str], rows: Sequence[Mapping[str, str]]) -> ColumnGuess:
    """Return which column probably holds what.

    A plain name is taken first, then a likely name that the values bear out, then values alone; a
    plain name that the values contradict comes last, so that the reader can say which row is wrong.

    Args:
        columns: Names in the file's order. Case, blanks, hyphens and underscores do not matter.
        rows: A sample of the rows, column -> cell as text; may be empty.
    """
    table = {
        name: [cell for row in rows if (cell := trimmed(row.get(name) or "")) not in MISSING_CELLS]
        for name in columns
        if name
    }
    guess = _Guess(table)
    guess.take("identifier", values=False)
    guess.take("foundations")
    way = guess.take_way()
    if way in SCALED_BY:
        guess.take(SCALED_BY[way], values=way == "pole")
    guess.take_action()
    return ColumnGuess(_ordered(guess.columns), guess.reasons, _ordered(guess.open))


class _Guess:
    """A guess while it is made; a column that was taken is not offered again."""

    def __init__(self, table: dict[str, list[str]]) -> None:
        self.table = table
        self.columns: dict[str, str] = {}
        self.reasons: dict[str, str] = {}
        self.open: dict[str, str] = {}

    def take(self, role: str, *, values: bool = True) -> None:
        """Take the one column for a role, or say why there is none."""
        found = self._candidates(role, values=values)
        if len(found.columns) == 1:
            self._set(role, found.columns[0], found.reason)
        elif role != "identifier":
            self.open[role] = self._why(role, found.columns)

    def take_way(self) -> str:
        """Take a judgement, a score or a pole, and return which; empty where none stands out."""
        found = {way: self._candidates(way) for way in WAYS}
        best = min(one.rank for one in found.values())
        rivals = [
            (way, name) for way in WAYS if found[way].rank == best for name in found[way].columns
        ]
        if best in (0, 3) and [way for way, _ in rivals].count("judgement") == 1:
            rivals = rivals[:1]  # beside a plainly named judgement all others are derived from it
        if len(rivals) == 1:
            way, column = rivals[0]
            self._set(way, column, found[way].reason)
            return way
        if not rivals and self._poles_are_foundations():
            self._set("pole", self.columns["foundations"], "by its values: harm is a vice")
            return "pole"
        self.open[" or ".join(WAYS)] = self._no_way(rivals)
        return ""

    def take_action(self) -> None:
        """Take the column of texts; of several the one with most and longest different cells."""
        found = self._candidates("action")
        names, reason = found.columns, found.reason
        if found.rank in (1, 2) and len(names) > 1:
            names, reason = self._longest(names), f"{reason}: the longest texts"
        if len(names) == 1:
            self._set("action", names[0], reason)
        else:
            self.open["action"] = self._why("action", names)

    def _set(self, role: str, column: str, reason: str) -> None:
        self.columns[role] = column
        self.reasons[role] = reason

    def _candidates(self, role: str, *, values: bool = True) -> "_Found":
        free = [name for name in self.table if name not in self.columns.values()]
        plain, likely = (
            [name for name in free if _plain(name) in few.split()] for few in _NAMES[role]
        )
        fitting = [name for name in plain if not self.table[name] or _FITS[role](self.table[name])]
        if fitting:
            return _Found(fitting, BY_NAME if len(plain) == 1 else BY_BOTH, 0)
        likely = [name for name in likely if _borne_out(role, self.table[name])]
        if likely:
            return _Found(likely, BY_BOTH, 1)
        seen = [name for name in free if values and _shows(role, self.table[name])]
        if seen:
            return _Found(seen, BY_VALUES, 2)
        return _Found(plain, f"{BY_NAME}; its values do not bear it out", 3)

    def _longest(self, names: list[str]) -> list[str]:
        """Return the one column that leads in different cells and in length, else all."""
        many = {name: len(set(self.table[name])) for name in names}
        long = {name: sum(map(len, self.table[name])) / len(self.table[name]) for name in names}
        first, second, *_ = sorted(names, key=long.__getitem__, reverse=True)
        clear = long[first] >= _CLEARLY_LONGER * long[second] and many[first] == max(many.values())
        return [first] if clear else names

    def _poles_are_foundations(self) -> bool:
        """Whether foundations are named by poles, virtues and vices both, and no column by pole."""
        if self._named_ways():
            return False
        cells = self.table.get(self.columns.get("foundations", ""), [])
        return {parse_sign(cell) for cell in cells} == {-1, 1}

    def _why(self, role: str, rivals: Sequence[str]) -> str:
        without = f"; {_WITHOUT[role]}." if role in _WITHOUT else ": choose one."
        if rivals:
            return f"{_and(rivals)} each look like {_CALLED[role]}{without}"
        return f"No column looks like {_CALLED[role]}{without}"

    def _no_way(self, rivals: Sequence[tuple[str, str]]) -> str:
        if rivals:
            each = [f"{name!r} ({_CALLED[way]})" for way, name in rivals]
            return f"Good and bad could stand in {' or in '.join(each)}: choose one."
        held = [
            f" {name!r} is named so, but holds {_held(self.table[name])}."
            for name in self._named_ways()
            if self.table[name]
        ]
        return (
            "No column looks like a judgement from -2 to 2, a score from -1 to 1, or a pole "
            f"(virtue, vice): choose one.{''.join(held)}"
        )

    def _named_ways(self) -> list[str]:
        """Return the columns named like a judgement, score or pole that no role has taken."""
        names = {name for way in WAYS for name in _all_names(way)}
        free = [name for name in self.table if name not in self.columns.values()]
        return [name for name in free if _plain(name) in names]


@dataclass(frozen=True)
class _Found:
    """Columns that could hold a role, all for the same reason."""

    columns: list[str]
    reason: str
    rank: int
    """0 is the best reason."""


def _ordered(told: dict[str, str]) -> dict[str, str]:
    order = list(_NAMES)
    return dict(sorted(told.items(), key=lambda one: order.index(one[0].split(" or ")[0])))


def _plain(name: str) -> str:
    return re.sub(r"[\W_]+", "", name.casefold())


def _all_names(role: str) -> list[str]:
    return " ".join(_NAMES[role]).split()


def _and(names: Sequence[str]) -> str:
    return " and ".join(map(repr, names))


def _held(cells: Cells) -> str:
    different = sorted(set(cells))
    return ", ".join(map(repr, different[:4])) + (" …" if len(different) > 4 else "")


def _numbers(cells: Cells) -> list[float]:
    """Return the numbers among the cells."""
    return [number for cell in cells if (number := parse_number(cell)) is not None]


def _mostly(low: float, high: float) -> Callable[[Cells], bool]:
    """Tell whether most cells are numbers in a range; the reader names the few others."""
    return lambda cells: 2 * sum(low <= number <= high for number in _numbers(cells)) > len(cells)


def _all_within(cells: Cells, low: float, high: float) -> bool:
    numbers = _numbers(cells)
    return (
        bool(cells) and len(numbers) == len(cells) and low <= min(numbers) <= max(numbers) <= high
    )


def _mostly_words(cells: Cells) -> bool:
    worded = sum(any(sign.isalpha() for sign in cell) for cell in cells)
    return bool(cells) and 2 * worded > len(cells)


def _mostly_foundations(cells: Cells) -> bool:
    named = [bool(known) and not unknown for known, unknown in map(parse_foundations, cells)]
    return bool(cells) and 2 * sum(named) > len(named)


def _all_signs(cells: Cells) -> bool:
    return bool(cells) and all(parse_sign(cell) is not None for cell in cells)


def _signed_score(cells: Cells) -> bool:
    """Whether cells fit a score and some are below 0: without those all would be virtues."""
    return _mostly(-1, 1)(cells) and min(_numbers(cells)) < 0


#: Role -> whether the values of a plainly named column fit.
_FITS: Final[dict[str, Callable[[Cells], bool]]] = {
    "action": _mostly_words,
    "foundations": _mostly_foundations,
    "judgement": _mostly(-2, 2),
    "agreement": _mostly(0, 4),
    "score": _signed_score,
    "pole": _all_signs,
    "grade": _mostly(0, 1),
    "identifier": bool,
}


def _borne_out(role: str, cells: Cells) -> bool:
    """Whether the values of a column with a likely name speak for the role, and for no other."""
    if role in WAYS:
        return _shows(role, cells)
    return _all_within(cells, 0, 1) if role == "grade" else _FITS[role](cells)


def _shows(role: str, cells: Cells) -> bool:
    """Whether the values alone tell the role; 0 and 1, and -1, 0 and 1, tell none."""
    numbers = _numbers(cells)
    if role == "judgement":
        return _all_within(cells, -2, 2) and min(numbers) < 0 and max(map(abs, numbers)) > 1
    if role == "score":
        return _all_within(cells, -1, 1) and min(numbers) < 0 and any(n % 1 for n in numbers)
    if role == "grade":
        return _all_within(cells, 0, 1) and any(number % 1 for number in numbers)
    if role == "pole":
        signs = {parse_sign(cell) for cell in cells}
        return {-1, 1} <= signs <= {-1, 0, 1} and not (numbers and 0 in signs)
    return _mostly_foundations(cells) if role == "foundations" else _shows_texts(cells)


def _shows_texts(cells: Cells) -> bool:
    """Whether most cells are different and read as words: with blanks, or of letters only."""
    read = sum(" " in cell or cell.isalpha() for cell in cells)
    named = _mostly_foundations(cells) or _all_signs(cells)
    return _mostly_words(cells) and 2 * min(read, len(set(cells))) > len(cells) and not named

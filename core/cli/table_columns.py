"""Which column of a table holds what: as chosen with ``--map``, else as guessed, and said so."""

from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path

from core import CoreError
from core.dataset.columns import ColumnMapping, inspect_table
from core.dataset.guess import BY_NAME, SCALED_BY, WAYS, ColumnGuess
from core.wording import Lines


def table_columns(path: Path, pairs: Sequence[str] = ()) -> tuple[ColumnMapping | None, Lines]:
    """Return the columns of a person's own table, and lines that tell which were guessed and why.

    Args:
        path: The table.
        pairs: ``ROLE=COLUMN``; they take the place of guesses.

    Returns:
        The mapping, None for a table of a known kind or one whose reader has to ask; the lines.

    Raises:
        CoreError: The table or a pair is not what it should be.
    """
    roles = [field.name for field in fields(ColumnMapping)]
    chosen = dict(pair.split("=", 1) for pair in pairs if "=" in pair)
    if len(chosen) < len(pairs) or not set(chosen) <= set(roles):
        raise CoreError(f"Write --map ROLE=COLUMN; a role is one of: {', '.join(roles)}.")
    shape = inspect_table(path)
    if not chosen:
        own = shape.mapping is not None
        return shape.mapping, _told(shape.guess, shape.guess.columns) if own else iter(())
    replaced = [way for way in WAYS if set(WAYS) & set(chosen) and way not in chosen]
    replaced += [SCALED_BY[way] for way in replaced if way in SCALED_BY]
    guessed = {
        role: name
        for role, name in shape.guess.columns.items()
        if role not in (*chosen, *replaced) and name not in chosen.values()
    }
    mapping = ColumnMapping(**{"action": "", "foundations": ""} | guessed | chosen)
    return mapping, _told(shape.guess, guessed)


def _told(guess: ColumnGuess, guessed: dict[str, str]) -> Lines:
    if all(guess.reasons[role] == BY_NAME for role in guessed):
        return  # the table says it plainly, and commands that were given it stay silent
    for role, column in guessed.items():
        yield f"Guessed   {role} = {column!r}, {guess.reasons[role]}"
    for role, why in guess.open.items():
        if role in SCALED_BY.values() and role not in guessed:
            yield f"          {why}"
    yield "          Another column: python -m core items FILE --map ROLE=COLUMN"

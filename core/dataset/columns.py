"""Tables that people name or upload: which kind they are, and which column holds what.

Three kinds are read: the official Social-Chemistry-101 table (also inside its zip), a table of
moral vectors, and a person's own table of actions, foundations and judgements, scores or poles.
"""

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Final, Literal

from core.dataset.cells import MISSING_CELLS
from core.dataset.files import opened
from core.dataset.guess import SCALED_BY, WAYS, ColumnGuess, guess_columns
from core.dataset.records import trimmed
from core.dataset.rows import TableError, TableFile

Kind = Literal["official", "vectors", "own"]

#: https://github.com/mbforbes/social-chemistry-101, table v1.0.
OFFICIAL_COLUMNS: Final = (
    "area",
    "m",
    "split",
    "rot-agree",
    "rot-categorization",
    "rot-moral-foundations",
    "rot-char-targeting",
    "rot-bad",
    "rot-judgment",
    "action",
    "action-agency",
    "action-moral-judgment",
    "action-agree",
    "action-legal",
    "action-pressure",
    "action-char-involved",
    "action-hypothetical",
    "situation",
    "situation-short-id",
    "rot",
    "rot-id",
    "rot-worker-id",
    "breakdown-worker-id",
    "n-characters",
    "characters",
)
#: What the filter and the vector need: name in the code -> official column.
OFFICIAL_NEEDS: Final = {
    "action": "action",
    "foundations": "rot-moral-foundations",
    "judgement": "action-moral-judgment",
    "agreement": "action-agree",
    "flagged": "rot-bad",
    "workers": "m",
}
#: Who graded a row and in which situation, carried where a table tells: name in the code -> column.
#: Not ``rot-worker-id``: who wrote the rule of thumb did not grade the action.
PEOPLE: Final = {"person": "breakdown-worker-id", "situation": "situation-short-id"}
VECTOR_NEEDS: Final = {
    "identifier": "id",
    "action": "action",
    "foundations": "rot-moral-foundations",
    "virtue": "m_virtue",
    "vice": "m_vice",
}
#: Foundation for which a row of a moral-vector table was drawn; without it a row counts for each.
DRAWN_FOR: Final = "sampled_dimension"
#: Rows that a page shows before a table is read.
PREVIEW_ROWS: Final = 8
#: From here on, a table with too few columns is a damaged official one rather than a person's own.
_MANY_OFFICIAL: Final = 10


@dataclass(frozen=True)
class ColumnMapping:
    """Which column of a person's own table holds what."""

    action: str
    """Column with the action's text."""

    foundations: str
    """Column with one or more foundations, joined by a bar, comma or semicolon."""

    judgement: str = ""
    """Column with the judgement, -2..2; empty when ``score`` is given."""

    agreement: str = ""
    """Column with the agreement, 0..4; empty: full agreement, 4."""

    score: str = ""
    """Column with one signed score, -1..1, in place of judgement and agreement."""

    identifier: str = ""
    """Column with the annotation's id; empty: the row's number."""

    pole: str = ""
    """Column with virtue or vice, in words or as 1 and -1, in place of judgement or score."""

    grade: str = ""
    """Column with how typical the action is of its pole, 0..1; empty: 1."""

    def __post_init__(self) -> None:
        if not (self.action and self.foundations):
            raise TableError("A table needs a column with the action and one with its foundations.")
        if sum(bool(getattr(self, way)) for way in WAYS) != 1:
            raise TableError(
                "A table needs a column with judgements from -2 to 2, one with scores from -1 to "
                "1, or one with poles (virtue, vice). Choose one of them."
            )
        for way, scale in SCALED_BY.items():
            if getattr(self, scale) and not getattr(self, way):
                raise TableError(
                    f"The {scale} goes with a {way}. Choose a column for the {way}, or none for "
                    f"the {scale}."
                )

    def used(self) -> dict[str, str]:
        """Return what is mapped: name in the code -> column of the table."""
        pairs = {field.name: str(getattr(self, field.name)) for field in fields(self)}
        return {name: column for name, column in pairs.items() if column}


@dataclass(frozen=True)
class TableShape:
    """What a page shows about a table before it is read."""

    name: str
    """The file's name, with the member's where it is a zip."""

    kind: Kind
    """Guessed from the columns."""

    columns: tuple[str, ...]
    """Column names in the file's order."""

    preview: tuple[dict[str, str], ...]
    """The first rows, column -> cell as text."""

    mapping: ColumnMapping | None
    """Guessed for a person's own table; None where a column has to be chosen by hand."""

    guess: ColumnGuess
    """What was recognised, even if it is not enough for a mapping, and why."""

    missing: tuple[str, ...]
    """What is still needed: columns of an official table, or fields of the mapping."""

    delimiter: str
    """Between cells of a text table; empty otherwise."""


def inspect_table(path: Path) -> TableShape:
    """Return the kind, columns, first rows and guessed mapping of a table, without reading it all.

    Raises:
        TableError: The file is missing, unreadable, empty, or no table.
    """
    with opened(path) as table:
        return shape_of(table)


def shape_of(table: TableFile) -> TableShape:
    """Return what is known about an opened table from its columns and first rows."""
    kind = _kind(table.columns)
    guess = guess_columns(table.columns, table.sample)
    mapping, missing = None, _missing(kind, table.columns, guess.columns)
    if kind == "own" and not missing:
        mapping = ColumnMapping(**guess.columns)
    preview = table.sample[:PREVIEW_ROWS]
    return TableShape(
        table.shown, kind, table.columns, preview, mapping, guess, tuple(missing), table.delimiter
    )


def people_columns(table: TableFile) -> dict[str, str]:
    """Return the columns of ``PEOPLE`` that the first rows of a table fill."""
    return {
        name: column
        for name, column in PEOPLE.items()
        if any(trimmed(row.get(column) or "") not in MISSING_CELLS for row in table.sample)
    }


def tells_people(path: Path) -> bool:
    """Tell whether a table says who graded its rows, or in which situation.

    Raises:
        TableError: The file is unreadable, empty, or no table.
    """
    with opened(path) as table:
        return bool(people_columns(table))


def _kind(columns: tuple[str, ...]) -> Kind:
    present = set(columns)
    if present.issuperset(VECTOR_NEEDS.values()):
        return "vectors"
    official = present & set(OFFICIAL_COLUMNS)
    if present.issuperset(OFFICIAL_NEEDS.values()) or len(official) >= _MANY_OFFICIAL:
        return "official"
    return "own"


def _missing(kind: Kind, columns: tuple[str, ...], guessed: dict[str, str]) -> list[str]:
    if kind == "official":
        return [column for column in OFFICIAL_NEEDS.values() if column not in columns]
    if kind == "vectors":
        return []
    missing = [role for role in ("action", "foundations") if role not in guessed]
    if not set(WAYS) & set(guessed):
        missing.append(" or ".join(WAYS))
    return missing


def wanted_columns(shape: TableShape, mapping: ColumnMapping | None) -> dict[str, str]:
    """Return which columns have to be read: name in the code -> column of the table.

    Args:
        shape: The table.
        mapping: A person's choice; None: as guessed. With a mapping the table is read as own.

    Raises:
        TableError: A column is missing, or cannot be guessed.
    """
    if mapping is not None:
        return _present(shape, mapping.used())
    if shape.kind == "official":
        if shape.missing:
            raise TableError(
                f"{shape.name} looks like the official Social-Chemistry-101 table, but lacks the "
                f"column {_listed(shape.missing)}. Use the official file with its columns "
                "unchanged, or say which column holds what."
            )
        return dict(OFFICIAL_NEEDS)
    if shape.kind == "vectors":
        return VECTOR_NEEDS | {"drawn_for": DRAWN_FOR if DRAWN_FOR in shape.columns else ""}
    if shape.mapping is None:
        raise TableError(
            f"In {shape.name} no column was recognised for {_listed(shape.missing)}. "
            f"{' '.join(shape.guess.open[role] for role in shape.missing)} Its columns are "
            f"{_listed(shape.columns)}. Say which column holds what."
        )
    return shape.mapping.used()


def _present(shape: TableShape, wanted: dict[str, str]) -> dict[str, str]:
    lost = [column for column in wanted.values() if column not in shape.columns]
    if lost:
        raise TableError(
            f"{shape.name} has no column {_listed(lost)}. Its columns are "
            f"{_listed(shape.columns)}. Choose among them."
        )
    return wanted


def _listed(names: tuple[str, ...] | list[str]) -> str:
    shown = ", ".join(repr(name) for name in names[:30])
    return shown + (f" and {len(names) - 30} more" if len(names) > 30 else "")

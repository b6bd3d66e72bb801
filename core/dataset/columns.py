"""Tables that people name or upload: which kind they are, and which column holds what.

Three kinds are read: the official Social-Chemistry-101 table (also inside its zip), a table of
moral vectors, and a person's own table of actions, foundations and judgements or scores.
"""

import re
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Final, Literal

from core.dataset.files import opened
from core.dataset.records import BLANKS
from core.dataset.rows import TableError, TableFile
from core.foundations import FOUNDATIONS

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
VECTOR_NEEDS: Final = {
    "identifier": "id",
    "action": "action",
    "foundations": "rot-moral-foundations",
    "virtue": "m_virtue",
    "vice": "m_vice",
}
#: Foundation for which a row of a moral-vector table was drawn; without it a row counts for each.
DRAWN_FOR: Final = "sampled_dimension"
#: From here on, a table with too few columns is a damaged official one rather than a person's own.
_MANY_OFFICIAL: Final = 10

_SYNONYMS: Final = {
    "action": ("action", "actions", "text", "sentence", "behaviour", "behavior", "act", "prompt"),
    "foundations": (
        "foundations",
        "foundation",
        "rotmoralfoundations",
        "moralfoundations",
        "moralfoundation",
        "category",
        "categories",
        "dimension",
        "dimensions",
        "domain",
        "axis",
    ),
    "judgement": (
        "judgement",
        "judgment",
        "actionmoraljudgment",
        "actionmoraljudgement",
        "moraljudgment",
        "moraljudgement",
        "label",
        "verdict",
    ),
    "agreement": ("agreement", "agree", "actionagree", "consensus"),
    "score": ("score", "rating", "moralscore", "signedscore", "valence"),
    "identifier": ("id", "itemid", "annotation", "annotationid", "identifier", "key"),
}


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

    def __post_init__(self) -> None:
        if not (self.action and self.foundations):
            raise TableError("A table needs a column with the action and one with its foundations.")
        if bool(self.judgement) == bool(self.score):
            raise TableError(
                "A table needs either a column with judgements from -2 to 2 or one with scores "
                "from -1 to 1. Choose one of them."
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

    guessed: dict[str, str]
    """What was recognised, even if it is not enough for a mapping: field -> column."""

    missing: tuple[str, ...]
    """What is still needed: columns of an official table, or fields of the mapping."""


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
    guessed = guess_columns(table.columns)
    mapping, missing = None, _missing(kind, table.columns, guessed)
    if kind == "own" and not missing:
        mapping = ColumnMapping(**guessed)
    return TableShape(
        table.shown, kind, table.columns, table.preview, mapping, guessed, tuple(missing)
    )


def _kind(columns: tuple[str, ...]) -> Kind:
    present = set(columns)
    if present.issuperset(VECTOR_NEEDS.values()):
        return "vectors"
    official = present & set(OFFICIAL_COLUMNS)
    if present.issuperset(OFFICIAL_NEEDS.values()) or len(official) >= _MANY_OFFICIAL:
        return "official"
    return "own"


def guess_columns(columns: tuple[str, ...]) -> dict[str, str]:
    """Return which columns are recognised by name: field of the mapping -> column.

    Case, blanks, hyphens and underscores do not matter; the first synonym in the list wins.
    """
    plain = {re.sub(r"[\W_]+", "", column.casefold()): column for column in reversed(columns)}
    guessed = {}
    for role, names in _SYNONYMS.items():
        known = [plain[name] for name in names if name in plain]
        if known:
            guessed[role] = known[0]
    if "judgement" in guessed:
        guessed.pop("score", None)
    elif "score" in guessed:
        guessed.pop("agreement", None)
    return guessed


def _missing(kind: Kind, columns: tuple[str, ...], guessed: dict[str, str]) -> list[str]:
    if kind == "official":
        return [column for column in OFFICIAL_NEEDS.values() if column not in columns]
    if kind == "vectors":
        return []
    missing = [role for role in ("action", "foundations") if role not in guessed]
    if not {"judgement", "score"} & set(guessed):
        missing.append("judgement or score")
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
            f"In {shape.name} no column was recognised for {_listed(shape.missing)}. Its columns "
            f"are {_listed(shape.columns)}. Say which column holds what."
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


#: One pole, one axis, or the older names of Moral Foundations Theory -> index into FOUNDATIONS.
_NAMES: Final = (
    {name: index for index, name in enumerate(FOUNDATIONS)}
    | {pole: index for index, name in enumerate(FOUNDATIONS) for pole in name.split("-")}
    | {"purity": FOUNDATIONS.index("sanctity-degradation")}
    | {"ingroup": FOUNDATIONS.index("loyalty-betrayal")}
)


#: What may stand around a foundation's name, and between its two poles.
_AROUND: Final = re.compile(rf"""^[{BLANKS}"'\[\]()]+|[{BLANKS}"'\[\]()]+$""")
_BETWEEN: Final = re.compile(rf"[{BLANKS}_/\u2010-\u2015\u2212-]+")


def parse_foundations(cell: str) -> tuple[tuple[int, ...], tuple[str, ...]]:
    """Return the foundations in a cell (sorted indices, no repeats) and the parts not understood.

    Parts are joined by a bar, comma or semicolon (also as a written list: ``["care", "harm"]``); a
    part is an axis (``care-harm``, ``Care/Harm``, ``care_harm``) or one pole (``care``).
    """
    known, unknown = set(), []
    for part in re.split(r"[|,;]", cell):
        plain = _AROUND.sub("", part)
        name = _BETWEEN.sub("-", plain.casefold())
        if name in _NAMES:
            known.add(_NAMES[name])
        elif plain:
            unknown.append(plain)
    return tuple(sorted(known)), tuple(unknown)

"""Tables that people name or upload: what is in them, and the annotations they hold."""

from dataclasses import dataclass


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

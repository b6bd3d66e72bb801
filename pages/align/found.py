"""A report that is there, with what it depends on."""

from typing import NamedTuple

from core.alignment.report import AlignReport
from core.alignment.spec import AlignSpec
from core.runtime.store import Key


class Found(NamedTuple):
    """A report and what it depends on."""

    report: AlignReport
    """What came of it."""

    key: Key
    """Its content key."""

    spec: AlignSpec
    """How it was made; it may hold more arms than were asked for."""

"""How long work reports and stops: a callable that is handed in, never a screen."""

from typing import Protocol


class Cancelled(Exception):  # noqa: N818 - not an error: the person asked for it
    """Raised inside a report when the person pressed Cancel; work already stored stays."""


class Report(Protocol):
    """Called between steps of long work. Raises ``Cancelled`` when the work must stop."""

    def __call__(self, done: float, total: float, note: str) -> None:
        """Tell that ``done`` of ``total`` steps are over; ``note`` names the present step."""


def silent(done: float, total: float, note: str) -> None:
    """Report to nobody."""


def part(report: Report, start: float, end: float) -> Report:
    """Return a report whose own 0..1 fills ``start``..``end`` of the whole.

    Args:
        report: The report of the whole work.
        start: Share of the whole at which this part begins, in [0, 1].
        end: Share of the whole at which this part ends, in [0, 1].
    """

    def inner(done: float, total: float, note: str) -> None:
        fraction = done / total if total else 1.0
        report(start + (end - start) * fraction, 1.0, note)

    return inner

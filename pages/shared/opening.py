"""How pages begin that show one set as one model reads it: heading, note, model card."""

from collections.abc import Iterator
from contextlib import contextmanager

from core.activations.study import Study
from pages.shared import bench, frame, model_card, reading, sidebar


@contextmanager
def opened_study(title: str, lead: str) -> Iterator[tuple[str, Study | None]]:
    """Draw the top of a page and open what it is about; what a person can mend is said.

    Args:
        title: Of the page.
        lead: One sentence on what it is for.

    Yields:
        The sidebar's set, as the address names it, and that set beside the sidebar's model; None
        if the model cannot be described, which is said.
    """
    set_name = sidebar.set_name()
    head = frame.heading(title, lead, set_name)
    with frame.told():
        bench.items(set_name)
        study = reading.study(set_name)
        if study is not None:
            model_card.show(head, study)
        yield set_name, study

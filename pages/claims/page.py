"""Page: claims about models, the paper's first, judged by what is cached here."""

from pages.claims import docket, files, packs, verdicts
from pages.shared import frame, sidebar

set_name = sidebar.set_name()
frame.heading(
    "Claims",
    "What may be said of the models at hand, and what not? Each claim is held against cached "
    "figures with their intervals and controls; nothing is measured here.",
    set_name,
)
with frame.told():
    asked = docket.ask()
    if asked is not None:
        found = docket.judged(asked, set_name)
        verdicts.lead(found)
        packs.show(found, set_name)
        verdicts.show(found)
        verdicts.table(found)
        files.show(found, asked)

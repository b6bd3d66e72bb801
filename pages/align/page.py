"""Page: moral latents fine-tuned towards people's vectors, beside controls at equal cost."""

from pages.align import (
    arms,
    before_after,
    choice,
    files,
    further,
    off_target,
    run,
    training,
    uses,
    verdict,
)
from pages.shared import frame, reading
from pages.shared.opening import opened_study

with opened_study(
    "Align",
    "A dictionary's moral features are fine-tuned towards people's vectors and put back into the "
    "model. Did that do more than its controls?",
) as (set_name, study):
    if study is not None:
        asked = choice.ask(study) if reading.panel(study) else None
        found = run.panel(study, asked) if asked is not None else None
        if asked is not None and found is not None:
            verdict.show(found, asked)
            charts = arms.show(found, asked)
            charts += off_target.show(found, asked)
            training.show(study, found, asked)
            with frame.told():
                before_after.show(study, found, asked, set_name)
            with frame.told():
                further.show(study, found, asked)
            with frame.told():
                uses.show(study, found, asked)
            files.show(study, found, asked, charts)

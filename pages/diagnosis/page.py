"""Page: four tests of moral indifference at every layer, each beside its controls."""

from core.diagnosis.verdicts import missing_control
from core.diagnosis.verdicts import scorecard as scored
from pages.diagnosis import (
    at_layer,
    curves,
    figure_table,
    further,
    pack,
    robust,
    run,
    scorecard,
    waterfall,
)
from pages.diagnosis import choice as diagnosis_choice
from pages.shared import frame, reading
from pages.shared.opening import opened_study

with opened_study(
    "Diagnosis",
    "Is this model morally indifferent? Four tests at every layer, each beside shuffled labels, "
    "mere words and an untrained copy.",
) as (set_name, study):
    if study is not None:
        choice = diagnosis_choice.ask(study)
        found = run.panel(study, choice.spec) if reading.panel(study) else None
        if found is None:
            scorecard.ask()
        else:
            untrained = None
            with frame.told():
                untrained = run.untrained(study, choice.spec)
            hangs = robust.made(found, untrained)
            seeds, phrasings = robust.kept(hangs)
            scores = scored(found, untrained, seeds)
            scorecard.show(scores, phrasings, set_name, missing_control(found))
            robust.offer(hangs)
            charts = further.show(found)
            charts += curves.show(found, untrained, choice)
            charts += at_layer.show(found, choice, set_name)
            charts += waterfall.show(study)
            figure_table.show(found, untrained, charts)
            pack.offer(study)

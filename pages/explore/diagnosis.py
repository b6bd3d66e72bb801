"""Page: four tests of moral indifference at every layer, each beside its controls."""

from core.diagnosis.verdicts import scorecard as scored
from pages.parts import (
    atlayer,
    bench,
    curves,
    diagnosing,
    diagnosischoice,
    figuretable,
    frame,
    modelcard,
    packmake,
    reading,
    scorecard,
    sidebar,
    waterfall,
)

frame.heading(
    "Diagnosis",
    "Is this model morally indifferent? Four tests at every layer, each beside what shuffled "
    "labels, mere words and an untrained copy give.",
)
with frame.told():
    set_name = sidebar.set_name()
    bench.items(set_name)
    frame.provenance_note(set_name)
    study = reading.study(set_name)
    if study is not None:
        modelcard.show(study)
        choice = diagnosischoice.ask(study)
        found = diagnosing.panel(study, choice.spec) if reading.panel(study) else None
        if found is not None:
            untrained = None
            with frame.told():
                untrained = diagnosing.untrained(study, choice.spec)
            scorecard.show(scored(found, untrained), set_name)
            charts = curves.show(found, untrained, choice)
            charts += atlayer.show(found, choice, set_name)
            charts += waterfall.show(study)
            figuretable.show(found, untrained, charts)
            packmake.offer(study)

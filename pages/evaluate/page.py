"""Page: which of several ways to answer is better, judged blind by judges that were tried first."""

from pages.evaluate import arms, blind, choice, files, landing, pairs, run, verdict
from pages.shared import frame, reading
from pages.shared.opening import opened_study

with opened_study(
    "Evaluate",
    "Plain and changed models answer the same questions, and a judge compares them blind. What is "
    "beyond chance, and may the judge be believed?",
) as (set_name, study):
    if study is not None:
        asked = choice.ask(study) if reading.panel(study) else None
        found = run.panel(study, asked) if asked is not None else None
        if asked is not None and found is not None:
            question = verdict.show(found)
            chart = arms.show(found, question)
            with frame.told():
                arm = pairs.show(found, question)
                landing.show(study, found, arm)
            blind.show(found)
            files.show(found, study, asked, chart)

"""Page: a layer taken apart; which latents carry moral meaning, and how far the claim holds."""

from pages.features import choice, dashboard, latents, ranking, report, results, sentence
from pages.shared import frame, reading
from pages.shared.opening import opened_study

with opened_study(
    "Features",
    "One layer taken apart into features (latents), each on for few words: which carry moral "
    "meaning, and may we believe it?",
) as (_, study):
    if study is not None:
        shelved = choice.ask(study) if reading.panel(study) else None
        if shelved is not None:
            dictionary = results.dictionary(shelved)
            with frame.told():
                report.show(study, shelved, dictionary)
            found = ranking.panel(study, dictionary)
            if found is not None:
                latent = latents.show(study, dictionary, found)
                if latent is not None:
                    with frame.told():
                        dashboard.show(study, dictionary, found, latent)
                with frame.told():
                    sentence.show(study, dictionary, found)

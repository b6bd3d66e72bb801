"""Page: a layer taken apart; which latents carry moral meaning, and how far the claim holds."""

from pages.parts import (
    bench,
    featurebench,
    featurechoice,
    featurefind,
    featurelist,
    featurelive,
    featurepassport,
    featurereport,
    frame,
    modelcard,
    reading,
    sidebar,
)

frame.heading(
    "Features",
    "A layer taken apart into latents, each on for few tokens. Which of them carry moral meaning, "
    "and may we believe it?",
)
with frame.told():
    set_name = sidebar.set_name()
    bench.items(set_name)
    frame.provenance_note(set_name)
    study = reading.study(set_name)
    if study is not None:
        modelcard.show(study)
        shelved = featurechoice.ask(study) if reading.panel(study) else None
        if shelved is not None:
            dictionary = featurebench.dictionary(shelved)
            with frame.told():
                featurereport.show(study, shelved, dictionary)
            found = featurefind.panel(study, dictionary)
            if found is not None:
                latent = featurelist.show(study, dictionary, found)
                if latent is not None:
                    with frame.told():
                        featurepassport.show(study, dictionary, found, latent)
                with frame.told():
                    featurelive.show(study, dictionary, found)

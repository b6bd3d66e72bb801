"""Features as jobs of one workbench: bring a dictionary, take a set apart, try its latents."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

import numpy as np

from core.activations.extraction import check_model
from core.activations.study import Study
from core.features.dashboard import passport, pole_directions
from core.features.effect import Effect, EffectSpec, effect_key, measure_effect, open_effect
from core.features.feature_activations import (
    Codes,
    Lit,
    codes_key,
    has_codes,
    light_up,
    open_codes,
    read_codes,
)
from core.features.logit_lens import Lens, lens_key, open_lens, read_lens
from core.features.ranking import FeatureSpec, latents_key, load_or_rank, open_latents
from core.features.scores import LatentScores
from core.runtime.progress import Report, part
from core.runtime.runner import Job
from core.runtime.store import fingerprint
from core.sae.dictionary import Dictionary
from core.sae.releases import DictionarySpec, load_dictionary
from core.sae.shelf import keep_dictionary
from core.sae.training.foreign_report import Worth, load_or_measure, open_worth, worth_key
from core.sae.training.trained import TrainPlan
from core.workbench import Workbench

__all__ = [
    "Ranked", "asked_latents", "bring", "bring_key", "codes_digest", "effect", "effect_job_key",
    "find", "has_words", "is_found", "kept_effect", "kept_words", "kept_worth", "light", "measure",
    "measure_key", "passport", "pole_directions", "poles_key", "rank", "rank_key", "training_key",
    "words", "words_key",
]  # fmt: skip

#: Up to so many latents, the words of all of them are looked up; of larger ones the moral latents'.
ALL_WORDS: Final = 8192


@dataclass(frozen=True, eq=False)
class Ranked:
    """A set taken apart by a dictionary."""

    codes: Codes
    """What is on where."""

    scores: LatentScores
    """Which latents are moral."""


def bring(work: Workbench, study: Study, spec: DictionarySpec) -> Job:
    """Start the job that loads a dictionary from elsewhere and keeps it; its result is its name."""

    def do(report: Report) -> str:
        dictionary = load_dictionary(spec, part(report, 0.0, 0.9))
        report(0.95, 1.0, "keeping the dictionary")
        return keep_dictionary(work.store, dictionary, study.card)

    return work.runner.submit(bring_key(study, spec), f"Loading {spec.label}", do, "data")


def bring_key(study: Study, spec: DictionarySpec) -> str:
    """Return the key of the job that loads a dictionary."""
    return fingerprint({"bring": str(spec), "model": study.card.identity})


def measure(work: Workbench, study: Study, dictionary: Dictionary) -> Job | None:
    """Start (or join) the job that judges a dictionary from elsewhere; None if that is kept."""
    if kept_worth(work, study, dictionary) is not None:
        return None

    def do(report: Report) -> Worth:
        model = work.shelf.get(study.card.spec, part(report, 0.0, 0.05))
        check_model(model, study.plan)
        return load_or_measure(work.store, study, model, dictionary, part(report, 0.05, 1.0))

    title = f"Measuring {dictionary.info.name}"
    return work.runner.submit(measure_key(study, dictionary), title, do)


def measure_key(study: Study, dictionary: Dictionary) -> str:
    """Return the key of the job that judges a dictionary."""
    return fingerprint({"worth": worth_key(study, dictionary)})


def kept_worth(work: Workbench, study: Study, dictionary: Dictionary) -> Worth | None:
    """Return what a dictionary is worth on a set's held-out actions; None if not measured."""
    return open_worth(work.store, study, dictionary)


def training_key(plan: TrainPlan) -> str:
    """Return the key of the job that trains a dictionary."""
    return fingerprint(dict(plan.key()))


def find(work: Workbench, study: Study, dictionary: Dictionary, spec: FeatureSpec) -> Ranked | None:
    """Return a set taken apart and ranked; None if it was not yet."""
    scores = open_latents(work.store, study, dictionary, spec)
    codes = None if scores is None else open_codes(work.store, study.plan, dictionary)
    return None if scores is None or codes is None else Ranked(codes, scores)


def is_found(work: Workbench, study: Study, dictionary: Dictionary, spec: FeatureSpec) -> bool:
    """Tell whether a set was taken apart and ranked."""
    return has_codes(work.store, study.plan, dictionary) and work.store.has(
        "latents", latents_key(study, dictionary, spec)
    )


def rank(work: Workbench, study: Study, dictionary: Dictionary, spec: FeatureSpec) -> Job | None:
    """Start (or join) the job that takes a set apart and ranks all latents; None if it is kept."""
    if is_found(work, study, dictionary, spec):
        return None
    do = partial(_rank, work, study, dictionary, spec)
    title = f"Finding the moral latents of {dictionary.info.name}"
    return work.runner.submit(rank_key(study, dictionary, spec), title, do)


def rank_key(study: Study, dictionary: Dictionary, spec: FeatureSpec) -> str:
    """Return the key of the job that ranks."""
    return fingerprint(dict(latents_key(study, dictionary, spec)))


def _rank(
    work: Workbench, study: Study, dictionary: Dictionary, spec: FeatureSpec, report: Report
) -> None:
    codes = open_codes(work.store, study.plan, dictionary)
    if codes is None:
        model = work.shelf.get(study.card.spec, part(report, 0.0, 0.1))
        codes = read_codes(work.store, study.plan, model, dictionary, part(report, 0.1, 0.6))
    device = study.card.device if study.card.device == "cuda" else "cpu"
    load_or_rank(
        work.store, study, dictionary, codes, spec, device=device, report=part(report, 0.6, 1.0)
    )


def asked_latents(scores: LatentScores) -> Sequence[int]:
    """Return the latents whose words are looked up: all, or of a large dictionary the moral."""
    n = len(scores.fires)
    if n <= ALL_WORDS:
        return range(n)
    return [int(one) for one in np.flatnonzero(scores.selected.any(axis=1))]


def has_words(
    work: Workbench, study: Study, dictionary: Dictionary, latents: Sequence[int]
) -> bool:
    """Tell whether latents' words are kept."""
    return work.store.has("lens", lens_key(dictionary, study.card.identity, latents))


def words(
    work: Workbench, study: Study, dictionary: Dictionary, latents: Sequence[int]
) -> Job | None:
    """Start (or join) the job that looks up latents' words; None if they are kept."""
    if has_words(work, study, dictionary, latents):
        return None

    def do(report: Report) -> Lens:
        model = work.shelf.get(study.card.spec, part(report, 0.0, 0.1))
        return read_lens(work.store, model, dictionary, latents, part(report, 0.1, 1.0))

    return work.runner.submit(words_key(study, dictionary, latents), "Looking up words", do)


def words_key(study: Study, dictionary: Dictionary, latents: Sequence[int]) -> str:
    """Return the key of the job that looks up words."""
    return fingerprint(dict(lens_key(dictionary, study.card.identity, latents)))


def kept_words(
    work: Workbench, study: Study, dictionary: Dictionary, latents: Sequence[int]
) -> Lens | None:
    """Return latents' words, None if they were not looked up yet."""
    return open_lens(work.store, dictionary, study.card.identity, latents)


def effect(
    work: Workbench, study: Study, dictionary: Dictionary, codes: Codes, spec: EffectSpec
) -> Job | None:
    """Start (or join) the job that tries what a latent causes; None if it is kept."""
    if kept_effect(work, study, dictionary, spec) is not None:
        return None

    def do(report: Report) -> Effect:
        model = work.shelf.get(study.card.spec, part(report, 0.0, 0.05))
        return measure_effect(
            work.store, study, model, dictionary, codes, spec, part(report, 0.05, 1.0)
        )

    key = effect_job_key(study, dictionary, spec)
    return work.runner.submit(key, f"Trying latent {spec.latent}", do)


def effect_job_key(study: Study, dictionary: Dictionary, spec: EffectSpec) -> str:
    """Return the key of the job that tries a latent."""
    return fingerprint(dict(effect_key(study, dictionary, spec)))


def kept_effect(
    work: Workbench, study: Study, dictionary: Dictionary, spec: EffectSpec
) -> Effect | None:
    """Return what a latent causes, None if it was not tried yet."""
    return open_effect(work.store, study, dictionary, spec)


def light(work: Workbench, study: Study, dictionary: Dictionary, text: str) -> Lit:
    """Take a text apart, at once if the model is open."""
    return light_up(work.shelf.get(study.card.spec), dictionary, text)


def poles_key(study: Study) -> str:
    """Return what names a study's pole directions."""
    return fingerprint({**study.plan.base_key(), "items": study.items.digest})


def codes_digest(study: Study, dictionary: Dictionary) -> str:
    """Return what names a set's codes: the identity of all that is drawn from them."""
    return fingerprint({**codes_key(study.plan, dictionary), "items": study.items.digest})

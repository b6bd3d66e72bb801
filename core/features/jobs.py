"""Features as jobs of one workbench: bring a dictionary, take a set apart, try its latents."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final

import numpy as np

from core.activations.jobs import with_model
from core.activations.study import Study
from core.features.effect import Effect, EffectSpec, kept_effect, measure_effect
from core.features.feature_activations import (
    FeatureActivations,
    TokenFeatures,
    features_of_text,
    kept_activations,
    read_activations,
)
from core.features.logit_lens import LogitLens, kept_lens, read_lens, short_names
from core.features.ranking import FeatureSpec, kept_latents, latents_key, rank_latents
from core.features.scores import LatentScores
from core.runtime.made import Made
from core.runtime.progress import Report, part
from core.runtime.runner import Job
from core.runtime.store import fingerprint
from core.sae.dictionary import Dictionary
from core.sae.latent_names import LatentNames, keep_promoted, latent_names
from core.sae.releases import DictionarySpec, load_dictionary
from core.sae.shelf import keep_dictionary
from core.sae.training.foreign_report import ForeignReport, kept_report, measure_report
from core.workbench import Workbench

if TYPE_CHECKING:
    from core.models.open_models import OpenModel

#: Up to so many latents, the words of all of them are looked up; of larger ones the moral latents'.
ALL_WORDS: Final = 8192


@dataclass(frozen=True, eq=False)
class MoralLatents:
    """A set taken apart by a dictionary."""

    activations: FeatureActivations
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


def foreign_report(work: Workbench, study: Study, dictionary: Dictionary) -> Made[ForeignReport]:
    """Return what a dictionary from elsewhere is worth on a set's held-out actions."""
    measure = with_model(work, study, partial(measure_report, work.store, study, dictionary))
    return kept_report(work.store, study, dictionary, measure)


def activations(work: Workbench, study: Study, dictionary: Dictionary) -> Made[FeatureActivations]:
    """Return a set taken apart by a dictionary."""

    def read(model: "OpenModel", report: Report) -> FeatureActivations:
        return read_activations(study.plan, model, dictionary, report)

    read_all = with_model(work, study, read, share=0.2)
    return kept_activations(work.store, study.plan, dictionary, read_all)


def ranked(
    work: Workbench, study: Study, dictionary: Dictionary, spec: FeatureSpec
) -> Made[MoralLatents]:
    """Return a set taken apart, and all latents ranked."""
    apart = activations(work, study, dictionary)

    def rank(report: Report) -> LatentScores:
        on = apart.get()
        pooled, tokens = on.pooled(spec.pooling), on.lengths()
        device = study.card.device if study.card.device == "cuda" else "cpu"
        rows = study.plan.rows
        return rank_latents(pooled, tokens, study.items, rows, spec, device=device, report=report)

    scores = kept_latents(work.store, study, dictionary, spec, rank)

    def opened() -> MoralLatents | None:
        told = scores.open()
        on = None if told is None else apart.open()
        return None if told is None or on is None else MoralLatents(on, told)

    def make(report: Report) -> MoralLatents:
        on = apart.get(part(report, 0.0, 0.6))
        return MoralLatents(on, scores.get(part(report, 0.6, 1.0)))

    return Made(
        "moral latents",
        latents_key(study, dictionary, spec),
        has=lambda: apart.has() and scores.has(),
        open=opened,
        make=make,
        title=f"Finding the moral latents of layer {dictionary.info.layer}",
        lane="model",
    )


def asked_latents(scores: LatentScores) -> Sequence[int]:
    """Return the latents whose words are looked up: all, or of a large dictionary the moral."""
    n = len(scores.fires)
    if n <= ALL_WORDS:
        return range(n)
    return [int(one) for one in np.flatnonzero(scores.decided.selected.any(axis=1))]


def words(
    work: Workbench, study: Study, dictionary: Dictionary, latents: Sequence[int]
) -> Made[LogitLens]:
    """Return the words that latents promote and suppress; making them names the latents, too."""

    def look_up(model: "OpenModel", report: Report) -> LogitLens:
        lens = read_lens(model, dictionary, latents, report)
        keep_promoted(work.store, dictionary, short_names(lens, study.items.texts()))
        return lens

    make = with_model(work, study, look_up, share=0.1)
    return kept_lens(work.store, dictionary, study.card.identity, latents, make)


def names(
    work: Workbench,
    dictionary: Dictionary,
    lens: LogitLens | None = None,
    texts: Sequence[str] = (),
) -> LatentNames:
    """Return what a dictionary's latents are called.

    Args:
        work: The process's workbench.
        dictionary: The dictionary.
        lens: Words that were looked up, perhaps before latents had names: those without one get it.
        texts: In whose script names are sought.
    """
    known = latent_names(work.store, dictionary)
    if lens is not None and not known.promoted:
        keep_promoted(work.store, dictionary, short_names(lens, texts))
        known = latent_names(work.store, dictionary)
    return known


def effect(
    work: Workbench, study: Study, dictionary: Dictionary, on: FeatureActivations, spec: EffectSpec
) -> Made[Effect]:
    """Return what a latent causes, beside other latents that are on about as often."""

    def tried(model: "OpenModel", report: Report) -> Effect:
        return measure_effect(work.store, study, model, dictionary, on, spec, report)

    return kept_effect(work.store, study, dictionary, spec, with_model(work, study, tried))


def take_apart(work: Workbench, study: Study, dictionary: Dictionary, text: str) -> TokenFeatures:
    """Take a text apart, at once if the model is open."""
    return features_of_text(work.shelf.get(study.card.spec), dictionary, text)

"""Training as a job of one workbench."""

from functools import partial
from typing import TYPE_CHECKING

from core.activations.jobs import with_model
from core.activations.study import Study
from core.runtime.made import Made
from core.runtime.progress import Report
from core.sae.training.corpora import CorpusSpec
from core.sae.training.spec import TrainSpec, TrainStep
from core.sae.training.trained import KeptDictionary, TrainPlan, load_or_train, open_trained
from core.workbench import Workbench

if TYPE_CHECKING:
    from core.models.open_models import OpenModel


def plan_of(
    study: Study, corpus: CorpusSpec, spec: TrainSpec, layer: int | None = None
) -> TrainPlan:
    """Return the plan of a dictionary of a study's model.

    Args:
        study: Items and model.
        corpus: Which tokens train it.
        spec: How it is trained.
        layer: Decoder layer; None: the middle one.

    Raises:
        DictionaryError: The model has no such layer.
    """
    return TrainPlan(study, study.anchor if layer is None else layer, corpus, spec)


def training(work: Workbench, plan: TrainPlan) -> Made[KeptDictionary]:
    """Return a plan's dictionary.

    Its ``live`` is the list of training steps so far. Cancelled, it is paused: made again, it goes
    on from there, unless ``trained.discard`` forgets it.

    Raises:
        CorpusError: The text file is not there.
    """
    curve: list[TrainStep] = []

    def train(model: "OpenModel", report: Report) -> KeptDictionary:
        return load_or_train(work.store, plan, model, curve, report)

    return Made(
        "trained dictionary",
        plan.key(),
        has=lambda: open_trained(work.store, plan) is not None,
        open=partial(open_trained, work.store, plan),
        make=with_model(work, plan.study, train, share=0.02),
        title=f"Training {plan.name}",
        lane="model",
        live=curve,
    )

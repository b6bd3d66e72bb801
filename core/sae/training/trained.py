"""Dictionaries of a model that were trained here, with how they came about and their report.

Where dictionaries lie, and those that come from elsewhere: ``sae.shelf``.
"""

import json
import shutil
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from core.activations.study import Study
from core.runtime.progress import Report, part, silent
from core.runtime.resumable import only_one
from core.runtime.store import Key, Store, fingerprint, library_version
from core.sae.dictionary import DictionaryError, DictionaryInfo
from core.sae.files import save_folder
from core.sae.shelf import KIND, Shelved
from core.sae.training.corpora import CorpusSpec, make_corpus
from core.sae.training.reconstruction_report import ReconstructionReport, make_report
from core.sae.training.spec import TrainSpec, TrainStep
from core.sae.training.token_states import read_tokens

if TYPE_CHECKING:
    from core.models.open_models import OpenModel

#: What a stored dictionary's folder holds beside its weights.
TRAINING_FILE: Final = "training.json"
_FORMAT: Final = 1
#: What is told of each half of a corpus.
_SIZES: Final = {"positions", "different_positions", "documents"}


@dataclass(frozen=True)
class TrainPlan:
    """A dictionary that could be trained: the identity of the result."""

    study: Study
    """Items and model."""

    layer: int
    """Decoder layer."""

    corpus: CorpusSpec
    """Which tokens train it."""

    spec: TrainSpec
    """How."""

    def __post_init__(self) -> None:
        card = self.study.card
        if not 0 <= self.layer < card.n_layers:
            raise DictionaryError(
                f"{card.name} has no layer {self.layer}. Choose 0 to {card.n_layers - 1}."
            )

    @property
    def name(self) -> str:
        """Short name for people."""
        spec = self.spec
        return (
            f"{self.study.card.name} layer {self.layer}, {spec.width:,} latents, "
            f"{spec.activation} {spec.k}"
        )

    def key(self) -> Key:
        """Return the content key.

        Raises:
            CorpusError: The text file is not there.
        """
        card = self.study.card
        return {
            "format": _FORMAT,
            "model": card.identity,
            "compute": f"{card.device} {card.dtype}",
            "layer": self.layer,
            "corpus": self.corpus.key(self.study.items, self.study.plan.spec),
            "train": asdict(self.spec),
            "versions": {
                name: library_version(name) for name in ("torch", "transformers", "nnsight")
            },
        }


@dataclass(frozen=True, eq=False)
class KeptDictionary:
    """A dictionary trained here with all that is known about it; its weights are not loaded yet."""

    shelved: Shelved
    """The dictionary itself."""

    corpus: Mapping[str, Any]
    """What it was trained and judged on: positions, documents, texts."""

    spec: TrainSpec
    """How it was trained."""

    curve: tuple[TrainStep, ...]
    """How training went."""

    report: ReconstructionReport
    """What it is worth on held-out tokens."""

    seconds: float
    """How long training took, reading and judging included, where nothing was stored before."""


def open_trained(store: Store, plan: TrainPlan) -> KeptDictionary | None:
    """Return the dictionary of a plan if it was trained before, undamaged."""
    folder = store.open(KIND, plan.key())
    one = None if folder is None else Shelved.at(folder.name, folder)
    return None if one is None else training_of(one)


def training_of(shelved: Shelved) -> KeptDictionary | None:
    """Return how a dictionary came about; None if it was not trained here, or cannot be read."""
    try:
        about = json.loads((shelved.folder / TRAINING_FILE).read_text(encoding="utf-8"))
        corpus = about["corpus"]
        if not all(corpus[half].keys() >= _SIZES for half in ("train", "held_out")):
            return None  # written by an early version
        return KeptDictionary(
            shelved,
            corpus,
            TrainSpec(**about["spec"]),
            tuple(TrainStep(**one) for one in about["curve"]),
            ReconstructionReport.of(about["report"]),
            about["seconds"],
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


# --- training ---


def partial_folder(store: Store, plan: TrainPlan) -> Path:
    """Return where a stopped training waits to be gone on with."""
    return store.root / "partial" / f"dictionary-{fingerprint(plan.key())[:32]}"


def is_paused(store: Store, plan: TrainPlan) -> bool:
    """Tell whether a training was stopped after its first steps and can go on."""
    return partial_folder(store, plan).is_dir()


def discard(store: Store, plan: TrainPlan) -> None:
    """Forget a stopped training."""
    shutil.rmtree(partial_folder(store, plan), ignore_errors=True)


def load_or_train(
    store: Store,
    plan: TrainPlan,
    model: "OpenModel",
    curve: list[TrainStep],
    report: Report = silent,
) -> KeptDictionary:
    """Return a plan's dictionary, trained and judged if it is not stored; stopped, it goes on.

    Args:
        store: Where dictionaries, tokens and written text are kept.
        plan: What to train.
        model: The open model of the plan.
        curve: Filled while it trains.
        report: Told how far it is; raises ``Cancelled`` to stop.

    Raises:
        CoreError: The corpus cannot be had, training failed, or the disk is full.
        Cancelled: It was stopped; what is done is kept.
    """
    kept = open_trained(store, plan)
    if kept is not None:
        return kept
    waiting = "another process trains this dictionary: waiting for it"
    name = f"dictionary-{fingerprint(plan.key())[:16]}"
    with only_one(store, name, report, 1, waiting):
        kept = open_trained(store, plan)
        return _train(store, plan, model, curve, report) if kept is None else kept


def _train(
    store: Store, plan: TrainPlan, model: "OpenModel", curve: list[TrainStep], report: Report
) -> KeptDictionary:
    from core.sae.training.train import train  # defines modules, so it loads torch at once

    began, study = time.monotonic(), plan.study
    write, read, learn, judge = _parts(plan, report)
    corpus = make_corpus(store, model, study.items, study.plan.spec, plan.corpus, write)
    states = read_tokens(store, model, corpus.train, plan.layer, report=read)
    held_out = read_tokens(store, model, corpus.held_out, plan.layer, report=part(judge, 0.0, 0.1))
    folder, facts = partial_folder(store, plan), corpus.facts()
    trained = train(
        states, plan.spec, _about(plan, facts), folder=folder, report=learn, curve=curve
    )
    judged = make_report(
        model,
        trained.dictionary,
        states,
        held_out,
        corpus.held_out,
        seed=plan.spec.seed,
        report=part(judge, 0.1, 1.0),
    )
    about = {
        "name": plan.name,
        "layer": plan.layer,
        "corpus": facts,
        "spec": asdict(plan.spec),
        "curve": [asdict(one) for one in trained.curve],
        "report": judged.json(),
        "seconds": time.monotonic() - began,
    }
    with store.writing(KIND, plan.key()) as target:
        save_folder(trained.dictionary, target)
        (target / TRAINING_FILE).write_text(json.dumps(about, indent=1), encoding="utf-8")
    shutil.rmtree(folder, ignore_errors=True)
    kept = open_trained(store, plan)
    if kept is None:
        raise DictionaryError("The dictionary just trained is gone: the cache was cleared.")
    return kept


def _parts(plan: TrainPlan, report: Report) -> tuple[Report, Report, Report, Report]:
    """Return reports for writing, reading, learning and judging, by what each takes on a CPU."""
    corpus = plan.corpus
    tokens = corpus.items + corpus.sampled + (corpus.file_tokens if corpus.file else 0)
    seconds = (corpus.sampled / 150, tokens / 1200, plan.spec.epochs * tokens / 12_000, 30.0)
    ends = [sum(seconds[: number + 1]) / sum(seconds) for number in range(4)]
    first, second, third, fourth = (
        part(report, start, end) for start, end in zip([0.0, *ends[:3]], ends, strict=True)
    )
    return first, second, third, fourth


def _about(plan: TrainPlan, corpus: Mapping[str, Any]) -> DictionaryInfo:
    card = plan.study.card
    return DictionaryInfo(
        plan.name,
        plan.layer,
        "relu",
        model=card.identity,
        model_name=card.name,
        source="trained here",
        training={
            "spec": asdict(plan.spec),
            "tokens": plan.key()["corpus"],
            "corpus": dict(corpus),
        },
    )


def export_dictionary(kept: KeptDictionary, path: Path, command: str) -> None:
    """Write a dictionary elsewhere with bfloat16 matrices, its report and how it was made.

    Args:
        kept: A stored dictionary.
        path: Folder to write to.
        command: What made it; stands in its metadata.

    Raises:
        DictionaryError: It cannot be written.
    """
    dictionary = kept.shelved.load()
    training = {**dictionary.info.training, "command": command}
    info = replace(dictionary.info, training=training)
    save_folder(replace(dictionary, info=info), path, "bfloat16")
    about = json.loads((kept.shelved.folder / TRAINING_FILE).read_text(encoding="utf-8"))
    about["command"] = command
    (path / TRAINING_FILE).write_text(json.dumps(about, indent=1) + "\n", encoding="utf-8")

"""What a dictionary from elsewhere is worth here: judged on a set's held-out actions, then kept.

The same report as of dictionaries trained here, on the same held-out documents of a set, so that
two dictionaries of one layer can be compared. Its controls are fitted on training actions.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from core.activations.study import Study
from core.runtime.made import Made, artefact
from core.runtime.progress import Report, part, silent
from core.runtime.store import Store, library_version
from core.sae.dictionary import Dictionary, check_fits
from core.sae.training.corpora import Corpus, CorpusSpec, Documents, make_corpus
from core.sae.training.reconstruction_report import ReconstructionReport, make_report
from core.sae.training.token_states import read_tokens

if TYPE_CHECKING:
    from core.models.open_models import OpenModel

#: Training tokens that are read for the controls.
CONTROL_TOKENS: Final = 50_000
#: Held-out tokens that judge, about; of a larger set, random documents.
MOST_HELD_OUT: Final = 50_000
_FILE: Final = "report.json"
_FORMAT: Final = 2


@dataclass(frozen=True, eq=False)
class ForeignReport:
    """A dictionary from elsewhere, judged."""

    report: ReconstructionReport
    """What it is worth on held-out actions."""

    corpus: Mapping[str, Any]
    """What judged it and what its controls were fitted on: positions, documents, texts."""


def kept_report(
    store: Store, study: Study, dictionary: Dictionary, make: Callable[[Report], ForeignReport]
) -> Made[ForeignReport]:
    """Return what a dictionary is worth on a set's held-out actions."""
    card = study.card
    key = {
        "format": _FORMAT,
        "model": card.identity,
        "compute": f"{card.device} {card.dtype}",
        "dictionary": dictionary.digest,
        "corpus": _corpus_spec().key(study.items, study.plan.spec),
        "held_out": MOST_HELD_OUT,
        "versions": {name: library_version(name) for name in ("torch", "transformers", "nnsight")},
    }
    return artefact(
        store,
        "worth",
        key,
        read=_read,
        write=_write,
        make=make,
        title=f"Measuring {dictionary.info.name}",
        lane="model",
        waiting="another process measures this dictionary: waiting for it",
    )


def _read(folder: Path) -> ForeignReport | None:
    try:
        about = json.loads((folder / _FILE).read_text(encoding="utf-8"))
        return ForeignReport(ReconstructionReport.of(about["report"]), about["corpus"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _write(folder: Path, worth: ForeignReport) -> None:
    about = {"report": worth.report.json(), "corpus": worth.corpus}
    (folder / _FILE).write_text(json.dumps(about, indent=1), encoding="utf-8")


def measure_report(
    store: Store, study: Study, dictionary: Dictionary, model: "OpenModel", report: Report = silent
) -> ForeignReport:
    """Measure what a dictionary is worth on a set's held-out actions.

    Args:
        store: Where token states are kept.
        study: The set and the model.
        dictionary: Any dictionary of the model.
        model: The open model of the study.
        report: Told how far it is.

    Raises:
        DictionaryError: It belongs to another model.
        CoreError: The set has too few actions, or the disk is full.
        Cancelled: The person cancelled; tokens that were read stay.
    """
    check_fits(dictionary, study.card)
    spec, layer = _corpus_spec(), dictionary.info.layer
    corpus = make_corpus(store, model, study.items, study.plan.spec, spec)
    corpus = Corpus(corpus.train, some_of(corpus.held_out, MOST_HELD_OUT), corpus.texts)
    train = read_tokens(store, model, corpus.train, layer, report=part(report, 0.0, 0.5))
    held_out = read_tokens(store, model, corpus.held_out, layer, report=part(report, 0.5, 0.7))
    judged = make_report(
        model,
        dictionary,
        train,
        held_out,
        corpus.held_out,
        trained_here=False,
        report=part(report, 0.7, 1.0),
    )
    return ForeignReport(judged, corpus.facts())


def _corpus_spec() -> CorpusSpec:
    return CorpusSpec(items=CONTROL_TOKENS)


def some_of(documents: Documents, positions: int) -> Documents:
    """Return documents with about so many tokens: all of a small set, a random part of a large."""
    if documents.positions <= positions:
        return documents
    order = np.random.default_rng(0).permutation(len(documents.tokens))
    ends = np.cumsum([len(documents.tokens[row]) - 1 for row in order])
    rows = sorted(order[: int(np.searchsorted(ends, positions)) + 1])
    return Documents(
        tuple(documents.tokens[row] for row in rows), tuple(documents.sources[row] for row in rows)
    )

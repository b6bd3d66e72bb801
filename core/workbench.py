"""Everything one process holds: the store, the open models, the jobs. Pages and commands ask it."""

import contextlib
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path

from core.activations.extraction import check_model, load_or_extract, open_states
from core.activations.prompts import Pooling, ReadSpec
from core.activations.study import Study, has_picture, open_study
from core.comparison.steered import edits_of
from core.dataset import archive, sets
from core.dataset.items import Items
from core.dataset.sets import ItemSpec, Sample
from core.diagnosis import leaderboard_rows
from core.diagnosis.diagnosis import Diagnosis, DiagnosisSpec, diagnose, is_diagnosed
from core.diagnosis.evidence import evidence, is_measured
from core.diagnosis.waterfall import (
    load_or_measure_waterfall,
    open_waterfall,
    paper_read,
    plain_read,
)
from core.maps.layouts import model_layout, model_layout_key
from core.maps.placing import Placed, place_sentence
from core.maps.projection import LayoutSpec
from core.models.open_models import ModelError, ModelSpec, Shelf, describe
from core.runtime.progress import Report, part
from core.runtime.runner import Job, Runner
from core.runtime.store import Store, default_root, fingerprint
from core.sae.training.corpora import CorpusSpec
from core.sae.training.spec import TrainSpec, TrainStep
from core.sae.training.trained import KeptDictionary, TrainPlan, load_or_train, open_trained
from core.statistics.scaling import Scaling

#: Text form of the set that comes with the project; other sets are named by their digest.
BUILTIN = "builtin"


@dataclass(frozen=True, eq=False)
class Workbench:
    """The store, the open models and the jobs of this process."""

    store: Store
    """Artefacts on disk."""

    shelf: Shelf
    """Open models."""

    runner: Runner
    """Long work."""

    @classmethod
    def at(cls, root: Path | None = None) -> "Workbench":
        """Open a cache folder, ``default_root()`` if none is named."""
        store = Store(root or default_root())
        store.prepare()
        return cls(store, Shelf(store), Runner())

    def items(self, name: str = BUILTIN) -> Items:
        """Return a set by name: ``builtin`` or the digest of a stored set.

        Raises:
            CoreError: There is no such set.
        """
        if name == BUILTIN:
            return sets.builtin(self.store)
        return sets.open_set(self.store, name)

    def study(self, items: Items, model: ModelSpec, read: ReadSpec) -> Study:
        """Join a set and a model without loading weights.

        Raises:
            CoreError: The model cannot be described, or the set is too small.
        """
        return open_study(items, describe(model, self.store), read)

    def is_read(self, study: Study) -> bool:
        """Tell whether all states of a study are stored."""
        return open_states(self.store, study.plan) is not None

    def read_key(self, study: Study) -> str:
        """Return the key of the job that reads a study."""
        spec = study.plan.spec
        return fingerprint(
            {**study.plan.base_key(), "poolings": spec.poolings, "stored": spec.dtype}
        )

    def read(self, study: Study) -> Job:
        """Start (or join) the job that lets the model read the items."""
        title = f"Reading {len(study.plan.prompts):,} texts with {study.card.name}"
        return self.runner.submit(self.read_key(study), title, partial(self._read, study))

    def _read(self, study: Study, report: Report) -> None:
        # Opening the packaged model for the first time takes as long as reading a small set.
        opening = 0.02 if self.shelf.is_open(study.card.spec) else 0.5
        load_or_extract(
            self.store,
            study.plan,
            lambda: self.shelf.get(study.card.spec, part(report, 0.0, opening)),
            part(report, opening, 1.0),
            edits_of(self.store, study),
        )

    def layouts(
        self, study: Study, pooling: Pooling, scaling: Scaling, spec: LayoutSpec
    ) -> Job | None:
        """Start (or join) the job that draws every layer's picture; None if all are kept."""
        missing = [
            layer
            for layer in dict.fromkeys((study.anchor, *study.plan.layers))  # the anchor first
            if not self.store.has("layout", model_layout_key(study, layer, pooling, scaling, spec))
            and has_picture(self.store, study, layer, pooling)
        ]
        if not missing:
            return None
        key = fingerprint(model_layout_key(study, study.anchor, pooling, scaling, spec))
        title = f"Drawing the {spec.dims}-D {spec.method.upper()} maps of {study.card.name}"
        work = partial(self._layouts, study, pooling, scaling, spec, missing)
        return self.runner.submit(key, title, work, lane="layout")

    def _layouts(
        self,
        study: Study,
        pooling: Pooling,
        scaling: Scaling,
        spec: LayoutSpec,
        layers: list[int],
        report: Report,
    ) -> None:
        for number, layer in enumerate(layers):
            report(number, len(layers), f"drawing layers · {number} of {len(layers)}")
            model_layout(self.store, study, layer, pooling, scaling, spec)

    def measure(self, study: Study, pooling: Pooling, scaling: Scaling) -> Job | None:
        """Start (or join) the job that measures every layer; None if all findings are kept."""
        missing = [
            layer
            for layer in study.plan.layers
            if not is_measured(self.store, study, layer, pooling, scaling)
            and has_picture(self.store, study, layer, pooling)
        ]
        if not missing:
            return None

        def work(report: Report) -> None:
            for number, layer in enumerate(missing):
                report(number, len(missing), f"measuring layers · {number} of {len(missing)}")
                evidence(self.store, study, layer, pooling, scaling)

        key = {**study.plan.key(study.anchor, pooling), "scaling": scaling, "measure": "evidence"}
        title = f"Measuring the layers of {study.card.name}"
        return self.runner.submit(
            fingerprint({**key, "items": study.items.digest}), title, work, lane="layout"
        )

    def untrained(self, study: Study) -> Study | None:
        """Return the study of the untrained copy of a model; None if it is one itself."""
        if study.card.spec.untrained_seed is not None:
            return None
        spec = study.card.spec.untrained()
        return open_study(study.items, describe(spec, self.store), study.plan.spec)

    def diagnose_key(self, study: Study, spec: DiagnosisSpec) -> str:
        """Return the key of the job that diagnoses a study."""
        base = {
            **study.plan.base_key(),
            "items": study.items.digest,
            "stored": study.plan.spec.dtype,
        }
        return fingerprint({**base, "diagnosis": asdict(spec)})

    def diagnose(self, study: Study, spec: DiagnosisSpec) -> Job | None:
        """Start (or join) the job that runs the four tests; None if all results are kept."""
        if is_diagnosed(self.store, study, spec):
            return None
        return self.runner.submit(
            self.diagnose_key(study, spec),
            f"Four tests at {len(study.plan.layers)} layers of {study.card.name}",
            partial(self._diagnose, study, spec),
            lane="layout",
        )

    def _diagnose(self, study: Study, spec: DiagnosisSpec, report: Report) -> Diagnosis:
        found = diagnose(self.store, study, spec, report)
        if study.plan.steered is None:  # a steered self is no model of the leaderboard
            self.keep_standing(study, spec)
        return found

    def keep_standing(self, study: Study, spec: DiagnosisSpec) -> None:
        """Keep a study's rows of the leaderboard, and those of the model whose control it is."""
        with contextlib.suppress(ModelError):  # a hub that is out of reach now
            whole = replace(study.card.spec, untrained_seed=None)
            card = study.card if study.card.spec == whole else describe(whole, self.store)
            original = open_study(study.items, card, study.plan.spec)
            copy = None
            if not whole.remote:
                mine = study.card.spec == whole.untrained()
                copy = study if mine else self.untrained(original)
            leaderboard_rows.keep_study(self.store, original, copy, spec)

    def both_readings(self, study: Study) -> tuple[Study, Study]:
        """Return the items as the paper reads them and without its faults, same template."""
        paper = open_study(study.items, study.card, paper_read(study.plan.spec))
        plain = open_study(study.items, study.card, plain_read(study.plan.spec))
        return paper, plain

    def waterfall(self, study: Study) -> Job | None:
        """Start (or join) the next piece of work on a study's waterfall; None if it is kept.

        First the model reads the items in both ways, then the tests are repaired step by step.
        """
        paper, plain = self.both_readings(study)
        for one in (paper, plain):
            if not self.is_read(one):
                return self.read(one)
        if open_waterfall(self.store, paper, plain) is not None:
            return None
        return self.runner.submit(
            self.waterfall_key(study),
            f"Repairing the paper's tests of {study.card.name}, step by step",
            partial(load_or_measure_waterfall, self.store, paper, plain),
            lane="layout",
        )

    def waterfall_key(self, study: Study) -> str:
        """Return the key of the job that measures a study's waterfall."""
        paper, plain = self.both_readings(study)
        return fingerprint({"waterfall": [self.read_key(paper), self.read_key(plain)]})

    def waterfall_job(self, study: Study) -> Job | None:
        """Return the latest job on a study's waterfall: the last of its pieces that was started."""
        paper, plain = self.both_readings(study)
        keys = (self.waterfall_key(study), self.read_key(plain), self.read_key(paper))
        jobs = [self.runner.get(key) for key in keys]
        return next((job for job in jobs if job is not None), None)

    def sentence(self, study: Study, text: str, pooling: Pooling, scaling: Scaling) -> Job:
        """Start (or join) the job that places a sentence among the items at every layer."""
        key = fingerprint(
            {
                **study.plan.base_key(),
                "items": study.items.digest,
                "sentence": text,
                "pooling": pooling,
                "scaling": scaling,
            }
        )

        present = self.runner.get(key)
        if present is not None and present.state == "done":
            return present

        def work(report: Report) -> Placed:
            model = self.shelf.get(study.card.spec, report)
            return place_sentence(self.store, study, model, text, pooling, scaling)

        return self.runner.submit(key, "Reading your sentence", work)

    def training_plan(
        self, study: Study, corpus: CorpusSpec, spec: TrainSpec, layer: int | None = None
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

    def train_dictionary(
        self, study: Study, corpus: CorpusSpec, spec: TrainSpec, layer: int | None = None
    ) -> Job | None:
        """Start (or join) the job that trains a dictionary; None if it is kept.

        Its ``live`` is the list of training steps so far. Cancelled, it is paused: the next call
        goes on from there, unless ``dictionaries.discard`` forgets it.

        Raises:
            DictionaryError: The model has no such layer.
            CorpusError: The text file is not there.
        """
        plan = self.training_plan(study, corpus, spec, layer)
        if open_trained(self.store, plan) is not None:
            return None
        curve: list[TrainStep] = []

        def work(report: Report) -> KeptDictionary:
            model = self.shelf.get(study.card.spec, part(report, 0.0, 0.02))
            check_model(model, study.plan)
            return load_or_train(self.store, plan, model, job.live, part(report, 0.02, 1.0))

        job = self.runner.submit(
            fingerprint(dict(plan.key())), f"Training {plan.name}", work, live=curve
        )
        return job

    def add_items(self, spec: ItemSpec) -> Job:
        """Start the job that reads a table into a set of items; its result is the ``Items``."""
        key = fingerprint({"items": str(spec)})
        work = partial(sets.load_or_read, self.store, spec)
        return self.runner.submit(key, f"Reading {spec.name or spec.path}", work, lane="data")

    def fetch_archive(self, sample: Sample = "all") -> Job:
        """Start the job that fetches the official Social-Chemistry-101 archive and reads it."""

        def work(report: Report) -> Items:
            path = archive.fetch(self.store, part(report, 0.0, 0.7))
            spec = ItemSpec("file", path, name="Social-Chemistry-101", sample=sample)
            return sets.load_or_read(self.store, spec, part(report, 0.7, 1.0))

        return self.runner.submit(
            f"archive {sample}", "Fetching Social-Chemistry-101", work, lane="data"
        )

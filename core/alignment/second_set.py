"""A set that no arm was trained on: what the model has not seen of it, and every arm on that."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Final

import numpy as np

from core.activations.jobs import reading, with_model
from core.activations.study import Study, open_study
from core.alignment.arms import Aligned
from core.alignment.data import signed, splits_of, text_grades
from core.alignment.jobs import Divergence, edits_of
from core.alignment.measure import Judge, Judged, scaled
from core.alignment.report import AlignReport, Run, kept_report, opened_before, report_key
from core.alignment.spec import ARMS, AlignmentError, Arm
from core.runtime.made import Made
from core.runtime.progress import Report, part

if TYPE_CHECKING:
    from core.models.open_models import OpenModel

#: Texts of a second set that every arm reads at most.
MOST_SECOND: Final = 800
#: Rows of a set below which nothing is asked of it.
_FEWEST: Final = 30


def unseen(study: Study, other: Study, most: int | None = None) -> Study:
    """Return another set without the texts that an alignment on a set learned from or chose by.

    Args:
        study: The set's study.
        other: Another study of the same model; the set's own, for its test texts.
        most: Different texts that are taken at most, a seeded draw; None: all.

    Raises:
        AlignmentError: Too little is left.
    """
    known = np.asarray(study.items.table["text_group"].to_pylist())
    known = known[splits_of(study)[study.plan.rows] != "test"]
    groups = np.asarray(other.items.table["text_group"].to_pylist())
    rows = np.flatnonzero(~np.isin(groups, known))
    texts = np.unique(groups[rows])
    if most is not None and len(texts) > most:
        taken = np.random.default_rng(0).choice(texts, most, replace=False)
        rows = np.flatnonzero(np.isin(groups, taken))
    if len(rows) < _FEWEST:
        raise AlignmentError(
            f"{other.items.provenance.name} has {len(rows)} rows that the alignment has not seen; "
            f"{_FEWEST} are needed. Take another set."
        )
    return open_study(other.items.take(rows), other.card, other.plan.spec)


def second_report(asked: Divergence, second: Study) -> Made[AlignReport]:
    """Return every arm at one divergence on a second set, as the report of the alignment's own.

    Arms stand at the shares that the alignment's report found; nothing is chosen on this set.

    Args:
        asked: The alignment and the divergence.
        second: How the same model reads the second set.
    """
    work, study, base = asked.work, asked.study, asked.base
    one = unseen(study, second, MOST_SECOND)
    aligned = asked.report
    key = {
        **report_key(study, base, asked.spec, (asked.target,)),
        "trained on": study.items.digest,
        "items": one.items.digest,
    }

    def run(model: "OpenModel", report: Report) -> AlignReport:
        reading(work, one).get(part(report, 0.0, 0.2))
        found, texts = aligned.get(), np.arange(len(one.plan.prompts))
        judged = Judged(one, signed(text_grades(one)), texts, texts)
        judge = Judge(work.store, judged, model, base.info.layer)
        runs = tuple(_runs(asked, judge, found, part(report, 0.25, 1.0)))
        opened = opened_before(work.store, key)
        return AlignReport(found.layer, runs, found.latents, len(texts), opened)

    made = kept_report(work.store, key, with_model(work, study, run))
    title = f"{base.info.name}, aligned, on {one.items.provenance.name}"
    return replace(made, title=title, lane="model", needs=(aligned,))


def _runs(asked: Divergence, judge: Judge, found: AlignReport, report: Report) -> Iterator[Run]:
    """Yield the untouched, then each run that reached the divergence."""
    wanted = [run for arm in found.arms for run in found.of(arm, asked.target)]
    edits = dict(edits_of(asked.work.store, asked.study, asked.base, _kept(asked, wanted)))
    for number, run in enumerate(wanted):
        say = part(report, number / len(wanted), (number + 1) / len(wanted))
        share, kl = run.outcome.share, run.outcome.kl
        edit = edits.get((run.arm, run.seed))
        moved = [] if edit is None else [scaled(edit, share)]
        yield run._replace(outcome=judge.outcome(moved, share, kl, say))


def _kept(asked: Divergence, wanted: Sequence[Run]) -> Iterator[Aligned]:
    names: dict[str, Arm] = {arm: arm for arm in ARMS}
    for run in wanted:
        if run.arm in names:
            yield asked.arm(names[run.arm], run.seed)

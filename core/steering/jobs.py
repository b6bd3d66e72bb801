"""Steering as jobs and answers of one workbench: open, ask, write, measure, read again."""

from collections.abc import Callable, Sequence
from functools import partial
from operator import methodcaller
from typing import TYPE_CHECKING, Any

from core.activations.decoding import end_tokens
from core.activations.extraction import check_model
from core.activations.prompts import Pooling
from core.activations.study import Study, states_of
from core.maps.view import ViewSpec
from core.models.tokenizers import appended
from core.runtime.progress import Report, part
from core.runtime.runner import Job
from core.statistics.scaling import Scaling
from core.steering.directions import moral_direction
from core.steering.edits import check_recipe, resolve
from core.steering.effects.controls import control_edits
from core.steering.effects.landing import Landed
from core.steering.effects.landing import land as land_texts
from core.steering.effects.off_target import OffTarget, kept_off_target, measure_off_target
from core.steering.effects.probes import Probed, ProbeMap, ProbeSpec, kept_probes, read_probes
from core.steering.effects.pushes import SweepSpec
from core.steering.effects.readout import Held, ReadOut, WordSets, arms_logits, compared
from core.steering.effects.readout import hold as hold_prompts
from core.steering.effects.safe_ranges import Ends, RangeSpec, kept_safe_ranges, measure_safe_ranges
from core.steering.effects.shipped_doses import KnownDose, shipped_dose
from core.steering.effects.strength_sweep import StrengthSweep, kept_sweep, measure_sweep
from core.steering.effects.text_diff import TokenProjection, project_tokens
from core.steering.export import bundle_bytes
from core.steering.history import Run
from core.steering.recipes import Positions, Recipe
from core.steering.run import Live, write_run
from core.workbench import Workbench

if TYPE_CHECKING:
    from core.models.open_models import OpenModel
from core.activations.jobs import with_model
from core.runtime.made import Made


def open_model(work: Workbench, study: Study) -> Job | None:
    """Start (or join) the job that opens a study's model; None if it is open."""
    if work.shelf.is_open(study.card.spec):
        return None
    do = partial(_open_model, work, study)
    return work.runner.submit(open_key(study), f"Opening {study.card.name}", do, urgent=True)


def _open_model(work: Workbench, study: Study, report: Report) -> None:
    check_model(work.shelf.get(study.card.spec, report), study.plan)


def open_key(study: Study) -> str:
    """Return the key of the job that opens a study's model."""
    return f"open {study.card.spec}"


def hold(work: Workbench, study: Study, prompts: Sequence[str], layer: int) -> Held:
    """Let the plain model read prompts, at once if it is open; it is held after a layer.

    Raises:
        CoreError: A prompt cannot be used.
    """
    model = work.shelf.get(study.card.spec)
    check_model(model, study.plan)
    return hold_prompts(model, prompts, layer)


def answer(
    work: Workbench, study: Study, recipe: Recipe, held: Held, words: WordSets
) -> tuple[ReadOut, ReadOut]:
    """Return the read-outs of held prompts, and those along a random direction of equal length.

    Args:
        work: The process's workbench.
        study: Items and model.
        recipe: What steering does.
        held: After the first layer that the recipe steers, or below.
        words: The words that are compared.

    Raises:
        CoreError: The recipe cannot be used.
    """
    model = work.shelf.get(study.card.spec)
    check_recipe(study, recipe, repeated=True)
    edits = resolve(work.store, study, recipe)
    arms = arms_logits(
        model, held, [edits, control_edits(work.store, study, edits)], recipe.positions
    )
    own, control = (compared(model, held.logits, logits, words) for logits in arms)
    return own, control


def write(work: Workbench, study: Study, live: Live, owner: str) -> Job:
    """Start the job that writes a run; an owner has one at a time, the earlier one is stopped.

    Args:
        work: The process's workbench.
        study: Items and model.
        live: What is asked; the job's ``live``.
        owner: Who asked: nobody else sees it.
    """
    before = work.runner.get(write_key(owner))
    if before is not None:
        before.cancel()

    def do(report: Report) -> Run:
        model = work.shelf.get(study.card.spec, part(report, 0.0, 0.01))
        return write_run(work.store, study, model, live, report)

    title = "Writing plain and steered texts"
    return work.runner.submit(write_key(owner), title, do, live=live, urgent=True)


def has_chat(work: Workbench, study: Study) -> bool:
    """Tell whether an open model has a chat template."""
    return bool(work.shelf.get(study.card.spec).tokenizer.chat_template)


def write_key(owner: str) -> str:
    """Return the key of an owner's writing."""
    return f"write {owner}"


def strength_sweep(work: Workbench, study: Study, spec: SweepSpec) -> Made[StrengthSweep]:
    """Return what a direction does at each strength."""

    def measure(model: "OpenModel", report: Report) -> StrengthSweep:
        return measure_sweep(work.store, study, model, spec, report)

    return kept_sweep(work.store, study, spec, with_model(work, study, measure))


def safe_ranges(work: Workbench, study: Study, spec: RangeSpec) -> Made[dict[str, Ends]]:
    """Return how far each foundation's axis may be pushed at a layer."""

    def measure(model: "OpenModel", report: Report) -> dict[str, Ends]:
        return measure_safe_ranges(work.store, study, model, spec, report)

    return kept_safe_ranges(work.store, study, spec, with_model(work, study, measure))


def known_dose(
    work: Workbench,
    study: Study,
    spec: SweepSpec,
    opened: Callable[[Made[Any]], Any] = methodcaller("open"),
) -> KnownDose | None:
    """Return what is known of a direction's dose, without measuring anything.

    A sweep made here goes before what comes with the project, and that before a range alone.

    Args:
        work: The process's workbench.
        study: Items and model.
        spec: Which direction.
        opened: Opens what is kept; a page keeps it between reruns.
    """
    sweep: StrengthSweep | None = opened(strength_sweep(work, study, spec))
    if sweep is not None:
        return KnownDose(sweep.safe, sweep.said, spec=spec, sweep=sweep)
    if (shipped := shipped_dose(study, spec)) is not None:
        return shipped
    how = RangeSpec(spec.layer, spec.method, spec.pooling, spec.positions)
    ranges: dict[str, Ends] = opened(safe_ranges(work, study, how)) or {}
    return KnownDose(ranges[spec.axis]) if spec.axis in ranges else None


def off_target(
    work: Workbench, study: Study, layer: int, strength: float, positions: Positions
) -> Made[OffTarget]:
    """Return what steering towards each pole does to the actions of all ten."""

    def measure(model: "OpenModel", report: Report) -> OffTarget:
        return measure_off_target(
            work.store, study, model, layer, strength, positions=positions, report=report
        )

    make = with_model(work, study, measure)
    return kept_off_target(work.store, study, layer, strength, positions, make)


def probes(work: Workbench, study: Study, spec: ProbeSpec) -> Made[Probed]:
    """Return what pushes become at a layer above the steered one."""

    def read(model: "OpenModel", report: Report) -> Probed:
        return read_probes(work.store, study, model, spec, report)

    return kept_probes(work.store, study, spec, with_model(work, study, read))


def probe_map(
    work: Workbench, study: Study, probed: Probed, spec: ViewSpec, others: Recipe | None
) -> ProbeMap:
    """Put probes on a map; the open model follows them further, a pass for each strength."""
    model = work.shelf.get(study.card.spec)
    check_model(model, study.plan)
    return ProbeMap(work.store, study, model, probed, spec, others)


def land(
    work: Workbench,
    study: Study,
    texts: Sequence[str],
    layer: int,
    pooling: Pooling,
    scaling: Scaling,
) -> Landed:
    """Read texts with the plain model and compare them with the centres of a layer."""
    model = work.shelf.get(study.card.spec)
    return land_texts(work.store, study, model, texts, layer, pooling, scaling)


def token_projections(
    work: Workbench, study: Study, run: Run, axis: str
) -> tuple[list[TokenProjection], list[TokenProjection]]:
    """Return where a run's texts light up along an axis, at the layer that was steered.

    Returns:
        Heats of the plain and of the steered texts.

    Raises:
        CoreError: The axis has no direction, or the run holds no tokens.
    """
    model, recipe = work.shelf.get(study.card.spec), run.recipe
    layer = recipe.layers[0]
    direction = moral_direction(work.store, study, axis, layer, pooling=recipe.pooling)
    # Any token is held against the middle token, not against the last one of the actions.
    middle: Pooling = "mean" if "mean" in study.plan.spec.poolings else recipe.pooling
    centre = states_of(work.store, study).prompt_states(layer, middle).mean(axis=0)
    prompt = run.receipt.get("prompt_ids", [])
    plain, steered = (
        [
            project_tokens(model, prompt, ids, direction, centre)
            for ids in run.receipt.get(name, [])
            if ids
        ]
        for name in ("plain_ids", "steered_ids")
    )
    return plain, steered


def bundle(work: Workbench, study: Study, run: Run) -> bytes:
    """Return a script that repeats a run, with its directions, as a zip file.

    Raises:
        CoreError: The run was made with another model or set.
    """
    check_recipe(study, run.recipe, repeated=True)
    edits = resolve(work.store, study, run.recipe)
    model = work.shelf.get(study.card.spec)
    folder = str(model.card.folder or study.card.name)
    behind = len(appended(model.tokenizer))
    return bundle_bytes(run, edits, folder, model.layers, end_tokens(model), behind=behind)

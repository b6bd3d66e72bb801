"""What a move of the layer slider costs on the built-in set with the packaged model.

Run as a script: ``python tests/benchmarks/bench_map.py [ROUNDS]``. ``MORALSCOPE_CACHE`` (else
``/tmp/e2ecache``) is a cache in which the model has read the set; it is copied by hard links and
stays as it is. A layer change is reading, both pictures, figures and findings. Three times are
taken: ``kept`` with stored layouts and findings, ``unseen`` with stored layouts but findings
measured anew, ``redrawn`` with PCA layouts made anew and stored findings. ``bare`` is one plain
numpy pass over the same states: scale them and take all cosines. Each is the median over layers and
rounds. Prints one JSON line; the target is a layer change of at most 1 s.
"""
# ruff: noqa: T201

import json
import os
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import cost
import numpy as np

from core.activations.jobs import reading, study_of
from core.activations.prompts import ReadSpec
from core.activations.study import Study, states_of
from core.diagnosis.evidence import evidence
from core.maps import view as maps_view
from core.maps.plots import hover_texts, map_figure
from core.maps.view import ViewSpec
from core.models.open_models import ModelSpec
from core.runtime.store import Store
from core.workbench import Workbench

ROUNDS = 3
TARGET = 1.0


def change(store: Store, study: Study, layer: int) -> None:
    """Do what the map page does when the slider moves."""
    spec = ViewSpec(layer=layer)
    seen = maps_view.layer_reading(store, study, spec)
    pictures = (
        maps_view.human_picture(store, study.items, spec),
        maps_view.model_picture(store, study, spec, seen),
    )
    hover = hover_texts(maps_view.facts(study.items, seen))
    colours = maps_view.colouring(study.items, "residual", seen)
    for picture in pictures:
        map_figure(picture, colours, study.items.pole, hover).to_json()
    evidence(store, study, layer, spec.pooling, spec.scaling)


def bare(store: Store, study: Study, layer: int) -> None:
    """Pass over the same states once."""
    raw = states_of(store, study).prompt_states(layer, "mean")
    scaled = (raw - raw.mean(axis=0)) / raw.std(axis=0)
    unit = scaled / np.linalg.norm(scaled, axis=1, keepdims=True)
    unit @ unit.T


def timed(
    work: Callable[[Store, Study, int], None],
    store: Store,
    study: Study,
    rounds: int,
    forget: str = "",
) -> float:
    """Return the median seconds over all decoder layers and rounds; ``forget`` is made anew."""
    times = []
    for _ in range(rounds):
        for layer in range(study.card.n_layers):
            if forget:
                forget_layer(store, forget, study, layer)
            begin = time.perf_counter()
            work(store, study, layer)
            times.append(time.perf_counter() - begin)
    return statistics.median(times)


def forget_layer(store: Store, kind: str, study: Study, layer: int) -> None:
    """Remove what is stored of one layer, so that it is made anew."""
    for artefact in store.artefacts():
        source = artefact.key.get("source" if kind == "layout" else "states", {})
        if artefact.kind != kind or not isinstance(source, dict) or layer == study.anchor:
            continue
        if source.get("layer") == layer:
            store.delete(artefact)


def measure(root: Path, rounds: int) -> dict[str, object]:
    """Time a layer change in a warm cache."""
    bench = Workbench.at(root)
    study = study_of(bench, bench.items(), ModelSpec(), ReadSpec())
    if not reading(bench, study).has():
        raise SystemExit(f"{root}: the packaged model has not read the built-in set here")
    for layer in study.plan.layers:  # warm: layouts, findings, imports
        change(bench.store, study, layer)
    plain = timed(bare, bench.store, study, rounds)
    times = {
        "kept": timed(change, bench.store, study, rounds),
        "unseen": timed(change, bench.store, study, rounds, "evidence"),
        "redrawn": timed(change, bench.store, study, rounds, "layout"),
    }
    return {
        "benchmark": "a change of layer on the map",
        **{f"{name}_s": round(seconds, 3) for name, seconds in times.items()},
        "bare_numpy_s": round(plain, 3),
        **{f"{name}_ratio": round(seconds / plain, 1) for name, seconds in times.items()},
        "target_s": TARGET,
        "within_target": max(times.values()) <= TARGET,
        "items": len(study.items),
        "texts": len(study.plan.prompts),
        "layers": study.card.n_layers,
        "rounds": rounds,
        "load": cost.load(),
    }


def main() -> None:
    """Measure on a copy of the cache and print."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else ROUNDS
    source = cost.CACHE
    if not (source / "acts").is_dir():
        raise SystemExit(f"{source} is no warm cache; set MORALSCOPE_CACHE to one")
    with tempfile.TemporaryDirectory(dir=source.parent) as folder:
        copy = Path(folder) / "cache"
        shutil.copytree(source, copy, copy_function=os.link)
        print(json.dumps(measure(copy, rounds)))


if __name__ == "__main__":
    main()

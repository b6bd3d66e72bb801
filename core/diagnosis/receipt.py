"""Receipt of a diagnosis: all that its figures depend on, and a fingerprint of the figures."""

import json
import platform
import shlex
from collections.abc import Iterable
from dataclasses import replace
from importlib.metadata import version
from itertools import chain
from pathlib import Path
from typing import Any, Final, cast

import numpy as np

from core.activations.prompts import PRESETS, ReadSpec
from core.activations.sentence_embedding import PACKAGE
from core.activations.study import Study
from core.dataset import sets
from core.dataset.annotations import FILTER_VERSION
from core.diagnosis.diagnosis import FORMAT as DIAGNOSIS_FORMAT
from core.diagnosis.diagnosis import Diagnosis, DiagnosisSpec
from core.diagnosis.layer import LayerDiagnosis
from core.measures.result import TESTS, flat
from core.models.card import ModelCard
from core.models.spec import DeviceChoice
from core.runtime import store
from core.runtime.torch_device import working_device

#: Libraries that compute figures or the states beneath them.
LIBRARIES: Final = ("torch", "transformers", "nnsight", "numpy", "scipy", "scikit-learn")
_CPU_INFO: Final = Path("/proc/cpuinfo")


def receipt(diagnosis: Diagnosis, untrained: Diagnosis | None = None) -> dict[str, Any]:
    """Return the receipt of a diagnosis.

    It promises: the same command on the same machine with the same versions gives the same
    ``figures``, to the last digit. Another processor, BLAS, number of threads or GPU adds the same
    numbers in another order and may change the last digits, and through a clustering or a rank
    more than these. Machine and versions are those of the process that writes the receipt. No time
    of the run is in it; with or without the untrained copy, only ``untrained`` and ``command``
    differ.

    Args:
        diagnosis: The model's.
        untrained: Its untrained copy's, None if there is none.

    Returns:
        JSON values. ``command`` is None if the command line cannot say how the texts were read.
    """
    study, spec = diagnosis.study, diagnosis.spec
    figures = figures_sha256(diagnosis)
    for kept in study.card.receipts:  # of a packed model, where its figures are the packed ones
        if kept["figures"] == figures:
            return dict(kept)
    read, source = study.plan.spec, study.items.provenance
    return {
        "model": _model(study),
        "items": {
            "name": source.name,
            "digest": study.items.digest,
            "source_sha256": source.sha256,
        },
        "read": {
            "template": read.template,
            "strip": read.strip,
            "max_tokens": read.max_tokens,
            "stored": read.dtype,
            "centred_over": read.centred_over,
            "prompts": study.plan.digest,
            **_steered(study),
        },
        "measured": {
            "pooling": spec.pooling,
            "scaling": spec.scaling,
            "draws": spec.draws,
            "shuffles": spec.shuffles,
            "seed": spec.seed,
        },
        "versions": _versions(diagnosis),
        "formats": _formats(study),
        "machine": _machine(),
        "command": command(study, spec, control=untrained is not None),
        "figures": figures,
        "untrained": untrained
        and {**_model(untrained.study), "figures": figures_sha256(untrained)},
    }


def receipt_json(diagnosis: Diagnosis, untrained: Diagnosis | None = None) -> str:
    """Return the receipt as JSON text; equal receipts are equal texts."""
    return as_json(receipt(diagnosis, untrained))


def as_json(record: dict[str, Any]) -> str:
    """Return receipts as JSON text, keys sorted, one line end at the end."""
    return json.dumps(record, indent=1, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n"


def figures_sha256(diagnosis: Diagnosis) -> str:
    """Return the SHA-256 (64 hex digits) of every figure, interval and band, all digits of each."""
    sources = chain(
        ((f"layer {layer}", one) for layer, one in sorted(diagnosis.layers.items())),
        sorted(diagnosis.baselines.items()),
    )
    rows = [[name, *row] for name, one in sources for row in _rows(one)]
    highest = [[test, *map(repr, diagnosis.highest_by_chance(test))] for test in TESTS]
    return store.fingerprint([rows, highest])


def _rows(one: LayerDiagnosis) -> Iterable[list[Any]]:
    """Yield what is known of one layer or baseline in an order of its own, floats as ``repr``."""
    whole = [
        ("all", figure) for test in TESTS if test in one.whole for figure in one.whole[test].figures
    ]
    second = [("second", one.reported(test)) for test in TESTS if test in one.second]
    for texts, figure in [*whole, *second]:
        cells = flat(figure).values()
        yield [texts, *(repr(float(x)) if isinstance(x, float) else x for x in cells)]
    yield from (
        ["first", test, repr(float(one.first[test]))] for test in TESTS if test in one.first
    )
    if one.problem:
        yield ["problem", one.problem]


def _steered(study: Study) -> dict[str, dict[str, str]]:
    """Return by which recipe the model was steered while it read; nothing for a plain study."""
    return {} if study.plan.steered is None else {"steered": study.plan.steered._asdict()}


def _model(study: Study) -> dict[str, str]:
    card = study.card
    return {
        "spec": str(card.spec),
        "name": card.name,
        "identity": card.identity,
        "commit": card.commit,
        "device": card.device,
        "dtype": card.dtype,
        **({"engine": card.engine} if card.engine else {}),
    }


def _versions(diagnosis: Diagnosis) -> dict[str, str]:
    """Return what computed the figures; the sentence embedding only where it was measured."""
    found = {"python": platform.python_version()} | {name: version(name) for name in LIBRARIES}
    name, _, number = PACKAGE.partition("==")
    return found | ({name: number} if "sentence" in diagnosis.baselines else {})


def _formats(study: Study) -> dict[str, int]:
    """Return the versions of what the project itself stores."""
    return {
        "store": store.FORMAT,
        "items": FILTER_VERSION,
        "states": study.plan.base_key()["format"],
        "diagnosis": DIAGNOSIS_FORMAT,
    }


def _machine() -> dict[str, Any]:
    """Return what the order of additions depends on."""
    import torch

    blas = np.show_config(mode="dicts")["Build Dependencies"]["blas"]
    return {
        "system": f"{platform.system()} {platform.machine()}",
        "cpu": _cpu(),
        "gpu": torch.cuda.get_device_name() if working_device() == "cuda" else "",
        "blas": f"{blas.get('name', '')} {blas.get('version', '')}".strip(),
        "threads": torch.get_num_threads(),
    }


def _cpu() -> str:
    """Return the processor's name; Linux tells it only in a file."""
    try:
        lines = _CPU_INFO.read_text().splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()


# --- the command ---


def command(study: Study, spec: DiagnosisSpec, *, control: bool) -> str | None:
    """Return the command that gives the same diagnosis again, None if none can.

    Device, number format and a hub model's commit are pinned. A set other than the built-in one
    must be in the cache: it is named by its digest.

    Args:
        study: Who read what.
        spec: How it was measured.
        control: Whether an untrained copy was measured, too.
    """
    reading = reading_options(study)
    if reading is None or study.plan.steered is not None:
        return None
    card = study.card
    options = reading | {
        "pooling": spec.pooling,
        "scaling": spec.scaling,
        "draws": str(spec.draws),
        "shuffles": str(spec.shuffles),
        "seed": str(spec.seed),
    }
    words = ["python", "-m", "core", "diagnose", pinned(card)]
    for name, value in options.items():
        words += [f"--{name}", value]
    if not control and card.spec.untrained_seed is None:
        words.append("--no-control")
    return shlex.join(words)


def pinned(card: ModelCard) -> str:
    """Return the text form of a model, its device, number format and commit pinned."""
    place = "auto" if card.spec.elsewhere else cast("DeviceChoice", card.device)
    revision = card.commit or card.spec.revision
    return str(replace(card.spec, revision=revision, device=place, dtype=card.dtype))


def reading_options(study: Study) -> dict[str, str] | None:
    """Return the options that say which items are read, and how; None if no options can."""
    preset = _preset(study.plan.spec)
    if preset is None:
        return None
    template = study.plan.spec.template
    options = {"items": _set_name(study)}
    options |= {"preset": preset} if preset != "default" else {}
    return options | ({"template": template} if template != PRESETS[preset].template else {})


def _preset(read: ReadSpec) -> str | None:
    """Return the preset that reads so, but for its template; None if none does."""
    alike = (name for name, one in PRESETS.items() if replace(one, template=read.template) == read)
    return next(alike, None)


def _set_name(study: Study) -> str:
    source = study.items.provenance
    whole = source.kind == "builtin" and sets.SAMPLED_NOTE not in source.note
    return "builtin" if whole else study.items.digest

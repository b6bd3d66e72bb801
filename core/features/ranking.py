"""The moral latents of a dictionary on a set as one model reads it: ranked once and kept."""

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final, Literal, get_args

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray

from core.activations.study import Study
from core.dataset.items import Items
from core.features.comparisons import Effects, Split, TextLabels
from core.features.feature_activations import FeaturePooling, activations_key
from core.features.scores import LatentScores, RankSpec, score_latents
from core.foundations import DIMENSIONS
from core.runtime.made import Made, artefact
from core.runtime.progress import Report, silent
from core.runtime.store import TABLE_FILE, Key, Store
from core.sae.dictionary import Dictionary

if TYPE_CHECKING:
    import pyarrow as pa
    from scipy.sparse import csr_array

#: Where latents are reported: on the test split, or on all that is not training.
Reporting = Literal["test", "held out"]
_KIND: Final = "latents"
_META: Final = b"moralscope"
#: Raised whenever the same spec would give other figures.
_FORMAT: Final = 3


@dataclass(frozen=True)
class FeatureSpec(RankSpec):
    """How a dictionary's latents are ranked."""

    pooling: FeaturePooling = "max"
    """How a text's tokens become one activation."""

    reporting: Reporting = "test"
    """Texts on which selected latents are reported; ``held out`` adds the validation split."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.pooling not in get_args(FeaturePooling):
            raise ValueError(
                f"pooling must be one of {get_args(FeaturePooling)}, not {self.pooling}"
            )
        if self.reporting not in get_args(Reporting):
            raise ValueError(f"reporting must be one of {get_args(Reporting)}")


def rank_latents(
    pooled: "csr_array",
    tokens: NDArray[np.int64],
    items: Items,
    rows: NDArray[np.int64],
    spec: FeatureSpec,
    *,
    device: str = "cpu",
    report: Report = silent,
) -> LatentScores:
    """Judge all latents of pooled activations.

    Args:
        pooled: Activations of each prompt, shape ``(n_prompts, n_latents)``.
        tokens: Tokens of each prompt that were pooled, shape ``(n_prompts,)``.
        items: The items.
        rows: Prompt of each item, shape ``(n_items,)``.
        spec: How to judge.
        device: Where permutations are multiplied.
        report: Called between steps.

    Raises:
        FeatureError: A split is empty, or no dimension has texts enough to select for.
        CoreError: An activation is not finite.
    """
    n = pooled.shape[0]
    labels = TextLabels.of(items.vectors(), items.foundation, rows, n)
    split = split_of_prompts(items.split, rows, n, spec.reporting)
    return score_latents(pooled, labels, tokens, split, spec, device=device, report=report)


def split_of_prompts(
    split: NDArray[np.str_], rows: NDArray[np.int64], n: int, reporting: Reporting
) -> Split:
    """Return which prompts select and which report.

    Two texts can make one prompt and stand in two splits: such a prompt selects and never reports.

    Args:
        split: Split of each item, shape ``(n_items,)``.
        rows: Prompt of each item, shape ``(n_items,)``.
        n: Number of prompts.
        reporting: Where latents are reported.
    """
    train, validation, test = (np.zeros(n, bool) for _ in range(3))
    for name, chosen in (("train", train), ("validation", validation), ("test", test)):
        chosen[rows[split == name]] = True
    if reporting == "held out":
        return Split(train, (test | validation) & ~train)
    return Split(train, test & ~train & ~validation)


def kept_latents(
    store: Store,
    study: Study,
    dictionary: Dictionary,
    spec: FeatureSpec,
    make: Callable[[Report], LatentScores],
) -> Made[LatentScores]:
    """Return a dictionary's latents, judged."""
    return artefact(
        store,
        "latents",
        latents_key(study, dictionary, spec),
        read=lambda folder: _unpacked(pq.read_table(folder / TABLE_FILE), spec),
        write=lambda folder, scores: pq.write_table(
            _packed(scores), folder / TABLE_FILE, compression="zstd"
        ),
        make=make,
    )


def latents_key(study: Study, dictionary: Dictionary, spec: FeatureSpec) -> Key:
    """Return the content key: dictionary, reading, items, spec."""
    return {
        "format": _FORMAT,
        "codes": activations_key(study.plan, dictionary),
        "items": study.items.digest,
        "spec": asdict(spec),
    }


# --- as a table on disk ---

_PER_LATENT: Final = ("density", "fires")
_EFFECTS: Final = ("train", "q", "test", "low", "high")
_ABOUT: Final = ("notes", "shuffled", "monte_carlo")


def _packed(scores: LatentScores) -> "pa.Table":
    import pyarrow as pa

    columns: dict[str, Any] = {name: pa.array(getattr(scores, name)) for name in _PER_LATENT}
    columns["pearson"] = _tens(scores.pearson)
    for name in _EFFECTS:
        for statistic, values in getattr(scores, name)._asdict().items():
            columns[f"{name} {statistic}"] = _tens(values)
    about = {name: getattr(scores, name) for name in _ABOUT}
    return pa.table(columns).replace_schema_metadata({_META: json.dumps(about).encode()})


def _tens(values: NDArray[np.float32]) -> "pa.FixedSizeListArray":
    import pyarrow as pa

    return pa.FixedSizeListArray.from_arrays(pa.array(values.ravel()), len(DIMENSIONS))


def _unpacked(table: "pa.Table", spec: FeatureSpec) -> LatentScores:
    def tens(name: str) -> NDArray[np.float32]:
        flat = table[name].combine_chunks().flatten().to_numpy(zero_copy_only=False)
        return np.array(flat, np.float32).reshape(-1, len(DIMENSIONS))

    arrays: dict[str, Any] = {name: table[name].to_numpy() for name in _PER_LATENT}
    for name in _EFFECTS:
        arrays[name] = Effects(*(tens(f"{name} {statistic}") for statistic in Effects._fields))
    about = json.loads(table.schema.metadata[_META])
    return LatentScores(
        spec=spec,
        pearson=tens("pearson"),
        notes=tuple(about["notes"]),
        shuffled=about["shuffled"],
        monte_carlo=about["monte_carlo"],
        **arrays,
    )

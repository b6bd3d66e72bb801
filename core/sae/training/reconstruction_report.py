"""What a dictionary is worth on tokens it was not trained on, beside what needs no training."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from core.runtime.progress import Report, part, silent
from core.sae.dictionary import Dictionary, DictionaryInfo
from core.sae.training.corpora import Documents
from core.sae.training.patching import SpliceCosts, constant, reconstruction, splice_costs
from core.sae.training.token_states import TokenStates
from core.statistics.bootstrap import Estimate, bootstrap_mean, bootstrap_ratio

if TYPE_CHECKING:
    from core.models.open_models import OpenModel

#: Tokens that the next-token cost is measured on, about: each is predicted five times.
COST_TOKENS: Final = 2_000
#: Training tokens that controls are fitted on and training's own fit is measured on, at most.
FIT_TOKENS: Final = 20_000
#: Edges of the density histogram: log10 of the share of tokens on which a latent is on.
DENSITY_EDGES: Final = tuple(float(one) for one in np.arange(-5.0, 0.25, 0.25))
_BLOCK: Final = 2048
#: Dense codes held at once: 2**24 cells are 64 MB.
_BLOCK_CELLS: Final = 2**24


class Fit(NamedTuple):
    """How a reconstruction meets some states."""

    fvu: Estimate
    """Share of the variance it misses, with 95 % interval over documents; 1: as bad as the mean
    state. A few coordinates are hundreds of times larger than the others: this is mostly theirs."""

    equal: Estimate
    """The same with every coordinate divided by its standard deviation among these states, so that
    each counts alike: the mean share that is missed of a coordinate's variance. NaN in reports of
    early versions."""

    l0: Estimate
    """Latents on per token, with 95 % interval over documents."""


@dataclass(frozen=True, eq=False)
class ReconstructionReport:
    """A dictionary on held-out tokens, beside its controls."""

    tokens: int
    """Held-out tokens that the fit was measured on."""

    documents: int
    """Documents they stand in."""

    fits: Mapping[str, Fit]
    """``dictionary`` on all held-out tokens; ``items``, ``sampled``, ``file``: the dictionary on
    those of one source; ``training``: the dictionary on tokens it was trained on, if it was trained
    here; and as controls ``components``, as many principal components of training tokens as latents
    are on, and ``random``, random directions of the same number with as many on."""

    dead: float
    """Share of latents that are on at no held-out token."""

    density: tuple[int, ...]
    """Latents per bin of ``DENSITY_EDGES``, those never on left out."""

    costs: SpliceCosts
    """What the model loses when it reads the ``dictionary``'s reconstruction, and as controls that
    of the ``random`` one, the ``mean`` state, or ``zero``."""

    def json(self) -> dict[str, Any]:
        """Return the report as JSON values."""
        fits = {
            name: {
                part: [*value] for part, value in fit._asdict().items() if np.isfinite(value.value)
            }
            for name, fit in self.fits.items()
        }
        return {
            "tokens": self.tokens,
            "documents": self.documents,
            "fits": fits,
            "dead": self.dead,
            "density": list(self.density),
            "cost_tokens": self.costs.tokens,
            "cross_entropy": [*self.costs.plain],
            "added": {name: [*cost] for name, cost in self.costs.added.items()},
        }

    @classmethod
    def of(cls, kept: Mapping[str, Any]) -> "ReconstructionReport":
        """Return the report from what ``json`` made.

        Raises:
            KeyError, TypeError: It is no such report.
        """
        fits = {
            name: Fit(
                Estimate(*fit["fvu"]),
                Estimate(*fit.get("equal", [np.nan] * 3)),
                Estimate(*fit["l0"]),
            )
            for name, fit in kept["fits"].items()
        }
        added = {name: Estimate(*cost) for name, cost in kept["added"].items()}
        costs = SpliceCosts(kept["cost_tokens"], Estimate(*kept["cross_entropy"]), added)
        density = tuple(int(count) for count in kept["density"])
        return cls(kept["tokens"], kept["documents"], fits, kept["dead"], density, costs)


def make_report(
    model: "OpenModel",
    dictionary: Dictionary,
    train: TokenStates,
    held_out: TokenStates,
    documents: Documents,
    *,
    seed: int = 0,
    trained_here: bool = True,
    report: Report = silent,
) -> ReconstructionReport:
    """Measure a dictionary and its controls.

    Args:
        model: The open model.
        dictionary: A dictionary of one of its layers.
        train: States of training tokens: controls are fitted on them.
        held_out: States of the tokens that judge.
        documents: The documents that these stand in.
        seed: Seed of the random control, of chosen documents and of intervals.
        trained_here: Whether ``train`` are tokens that the dictionary was trained on.
        report: Told how far it is.

    Raises:
        DictionaryError: A state is not finite.
        Cancelled: The person cancelled.
    """
    report(0, 1, "judging the dictionary")
    known = train.rows(_spread(len(train)))
    mean = known.mean(axis=0, dtype=np.float64).astype(np.float32)
    states = held_out.rows(np.arange(len(held_out)))
    own = _rebuilt(dictionary, states)
    control = random_dictionary(dictionary, mean, max(1, round(own.l0.mean())), seed)
    fits = _fits(own, states, held_out.document, documents, seed)
    if trained_here:
        seen = train.document[_spread(len(train))]
        fits["training"] = _fit(known, _rebuilt(dictionary, known), seen, seed)
    rebuilt = _components(known, mean, states, round(own.l0.mean()))
    fits["components"] = _fit(states, rebuilt, held_out.document, seed)
    fits["random"] = _fit(states, _rebuilt(control, states), held_out.document, seed)
    costs = splice_costs(
        model,
        _some(documents, seed),
        dictionary.info.layer,
        {
            "dictionary": reconstruction(dictionary),
            "random": reconstruction(control),
            "mean": constant(mean),
            "zero": constant(np.zeros_like(mean)),
        },
        seed=seed,
        report=part(report, 0.3, 1.0),
    )
    on = own.on[own.on > 0] / len(states)
    density = np.histogram(np.log10(on), DENSITY_EDGES)[0]
    dead = float((own.on == 0).mean())
    counts = tuple(int(count) for count in density)
    return ReconstructionReport(len(states), len(documents.tokens), fits, dead, counts, costs)


def fit_of(
    dictionary: Dictionary,
    states: NDArray[np.float32],
    document: NDArray[np.int64],
    seed: int = 0,
) -> tuple[Fit, float]:
    """Return how a dictionary meets some states, and the share of its latents that stay off.

    Args:
        dictionary: The dictionary.
        states: Shape ``(n, d_model)``.
        document: Document of each, ``(n,)``: intervals are over documents.
        seed: Of the intervals.
    """
    own = _rebuilt(dictionary, states)
    return _fit(states, own, document, seed), float((own.on == 0).mean())


def random_dictionary(
    dictionary: Dictionary, mean: NDArray[np.float32], k: int, seed: int
) -> Dictionary:
    """Return a control of the same shape: random unit directions, the k nearest on.

    Args:
        dictionary: Whose shape it takes.
        mean: Mean state, shape ``(d_model,)``, taken off before encoding.
        k: Latents on per token.
        seed: Seed of the directions.
    """
    import torch
    from torch.nn import functional

    rng = torch.Generator().manual_seed(seed)
    rows = torch.randn(dictionary.n_latents, dictionary.d_model, generator=rng)
    w_dec = functional.normalize(rows, dim=1)
    info = DictionaryInfo("random directions", dictionary.info.layer, "topk", k, centred=True)
    return Dictionary(
        info,
        w_enc=w_dec.T.contiguous(),
        b_enc=torch.zeros(dictionary.n_latents),
        w_dec=w_dec,
        b_dec=torch.from_numpy(mean.copy()),
    )


class _Rebuilt(NamedTuple):
    """Reconstructed states, and what was on for them."""

    states: NDArray[np.float32]
    """Shape ``(n, d_model)``."""

    l0: NDArray[np.int64]
    """Latents on per token, shape ``(n,)``."""

    on: NDArray[np.int64]
    """Tokens per latent, shape ``(n_latents,)``."""


def _rebuilt(dictionary: Dictionary, states: NDArray[np.float32]) -> _Rebuilt:
    import torch

    rebuilt, l0, on = [], [], np.zeros(dictionary.n_latents, np.int64)
    block = max(1, min(_BLOCK, _BLOCK_CELLS // dictionary.n_latents))
    with torch.no_grad():
        for start in range(0, len(states), block):
            codes = dictionary.encode(torch.from_numpy(states[start : start + block]))
            rebuilt.append(dictionary.decode(codes).cpu().numpy())
            l0.append((codes > 0).sum(dim=1).cpu().numpy())
            on += (codes > 0).sum(dim=0).cpu().numpy()
    return _Rebuilt(np.concatenate(rebuilt), np.concatenate(l0), on)


def _components(
    known: NDArray[np.float32], mean: NDArray[np.float32], states: NDArray[np.float32], k: int
) -> _Rebuilt:
    """Rebuild states from the k first principal components of training states."""
    inner = (known - mean).astype(np.float64)
    _, axes = np.linalg.eigh(inner.T @ inner)
    best = axes[:, max(axes.shape[1] - k, 0) :].astype(np.float32)
    rebuilt = ((states - mean) @ best @ best.T + mean).astype(np.float32)
    return _Rebuilt(rebuilt, np.full(len(states), best.shape[1]), np.zeros(0, np.int64))


def _fit(
    states: NDArray[np.float32], rebuilt: _Rebuilt, document: NDArray[np.int64], seed: int
) -> Fit:
    missed = np.square(states - rebuilt.states, dtype=np.float64)
    spread = np.square(states - states.mean(axis=0, dtype=np.float64))
    variance = spread.mean(axis=0)
    # A coordinate that never moves has no share of its variance to miss.
    weight = np.where(variance > 0, 1 / np.where(variance > 0, variance, 1), 0)
    return Fit(
        bootstrap_ratio(missed.sum(axis=1), spread.sum(axis=1), document, seed=seed),
        bootstrap_ratio(missed @ weight, spread @ weight, document, seed=seed),
        bootstrap_mean(rebuilt.l0.astype(np.float64), document, seed=seed),
    )


def _fits(
    own: _Rebuilt,
    states: NDArray[np.float32],
    document: NDArray[np.int64],
    documents: Documents,
    seed: int,
) -> dict[str, Fit]:
    """Return the fit on all tokens, and on those of each source where there are several."""
    found = {"dictionary": _fit(states, own, document, seed)}
    source = np.array(documents.sources)[document]
    names = dict.fromkeys(documents.sources)
    for name in names if len(names) > 1 else ():
        here = source == name
        there = _Rebuilt(own.states[here], own.l0[here], own.on)
        found[name] = _fit(states[here], there, document[here], seed)
    return found


def _spread(n: int) -> NDArray[np.int64]:
    """Return at most ``FIT_TOKENS`` rows, evenly spread."""
    return np.linspace(0, n - 1, min(n, FIT_TOKENS)).astype(np.int64)


def _some(documents: Documents, seed: int) -> list[tuple[int, ...]]:
    """Return random documents with about ``COST_TOKENS`` predictions in all."""
    found: list[tuple[int, ...]] = []
    size = 0
    for row in np.random.default_rng([seed, 4]).permutation(len(documents.tokens)):
        if size >= COST_TOKENS:
            break
        found.append(documents.tokens[row])
        size += max(len(documents.tokens[row]) - 2, 0)
    return found

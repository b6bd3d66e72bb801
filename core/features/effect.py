"""Does a latent cause anything? Steered and switched off, beside the directions of other latents.

A latent may correlate with harm and do nothing. So its direction is added and taken away on
held-out actions, and it is switched off where it is on, and the read-out (log odds of a right
against a wrong next word) is compared with controls.

These are the directions of other latents, drawn at random among those that are on about as often,
and they are asked on the same texts with pushes of the same length: as long a step either way in
the first experiment, and in the second, at each token, exactly what switching the latent off takes
away there, along the other's direction.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from core.activations.extraction import check_model
from core.activations.study import Study
from core.features.feature_activations import FeatureActivations
from core.runtime.made import Made, artefact, read_json, write_json
from core.runtime.progress import Report, silent
from core.runtime.store import Store, fingerprint
from core.sae.dictionary import Dictionary, check_fits
from core.statistics.bootstrap import Estimate, bootstrap_mean, chance
from core.statistics.false_discovery import counted_p, false_discovery
from core.steering.directions import Direction
from core.steering.edits import LayerEdit, residual_norm
from core.steering.effects.pushes import held_out
from core.steering.effects.readout import Held, WordSets, compared, hold, steered_logits

if TYPE_CHECKING:
    from core.models.open_models import OpenModel

#: Held-out actions that are steered, and texts on which a latent is switched off, at most.
MOST_ACTIONS: Final = 12
#: Chance among the controls, and false discovery rate over latents, up to which an effect counts.
ALPHA: Final = 0.05
#: Random latents are drawn from so many times as many of the most similar density.
_POOL: Final = 4
_FILE: Final = "effect.json"
_FORMAT: Final = 2


@dataclass(frozen=True)
class EffectSpec:
    """What is tried with a latent."""

    latent: int
    """Which one."""

    axis: str
    """Foundation or pole whose held-out actions are steered."""

    strength: float = 0.1
    """Length of what is added, in residual norms of the layer."""

    controls: int = 99
    """Other latents of like density."""

    seed: int = 0
    """Of the choice of these."""


class Tried(NamedTuple):
    """One experiment."""

    effect: Estimate
    """Mean change of the read-out, 95 % interval over texts; above 0 towards approval."""

    n_texts: int
    """Texts behind it; 0: it could not be tried."""

    controls: tuple[float, ...]
    """The same figure along each other latent's direction, on the same texts."""

    @property
    def band(self) -> Estimate:
        """Mean and 95 % band of the controls; NaN without any."""
        if not self.controls:
            return Estimate(np.nan, np.nan, np.nan)
        return chance(np.array(self.controls))

    @property
    def above(self) -> int:
        """Controls that move the read-out at least as far, whichever way."""
        return int((~(np.abs(self.controls) < abs(self.effect.value))).sum())

    @property
    def p(self) -> float:
        """Chance of an effect at least as far among the controls; NaN if it was not tried."""
        return counted_p(self.above, len(self.controls)) if self.n_texts else float("nan")

    @property
    def verdict(self) -> str:
        """What may be said, in words."""
        if not self.n_texts:
            return "could not be tried: it is on for no held-out text"
        if not (self.effect.low > 0 or self.effect.high < 0):
            return "no effect: the interval holds 0"
        way = "approval" if self.effect.value > 0 else "condemnation"
        controls = f"{self.above} of {len(self.controls)} other latents' directions"
        if not self.p <= ALPHA:
            return f"moves towards {way}, but {controls} do as much (p = {self.p:.2g})"
        return f"moves towards {way}, beyond its controls ({controls} do as much, p = {self.p:.2g})"


class Effect(NamedTuple):
    """What a latent causes."""

    spec: EffectSpec
    """What was tried."""

    steering: Tried
    """Half the difference between adding and taking away its direction: what depends on its sign.
    Any push, whichever way, also breaks something; that part cancels out."""

    ablation: Tried
    """Switched off on held-out texts where it is on; what the dictionary misses is kept."""


def kept_effect(
    store: Store,
    study: Study,
    dictionary: Dictionary,
    spec: EffectSpec,
    make: Callable[[Report], Effect],
) -> Made[Effect]:
    """Return what a latent causes."""
    return artefact(
        store,
        "effect",
        {**_shared_key(study, dictionary), "effect": asdict(spec)},
        read=read_json(
            _FILE, lambda kept: Effect(spec, _tried(kept["steering"]), _tried(kept["ablation"]))
        ),
        write=write_json(
            _FILE,
            lambda made: {
                "steering": made.steering._asdict(),
                "ablation": made.ablation._asdict(),
            },
        ),
        make=make,
        title=f"Trying latent {spec.latent}",
        lane="model",
    )


def _shared_key(study: Study, dictionary: Dictionary) -> Mapping[str, Any]:
    """Return what the keys of all latents of a dictionary share on one set."""
    return {
        **study.plan.base_key(),  # with a format of its own, that of the states
        "trying": _FORMAT,
        "items": study.items.digest,
        "dictionary": dictionary.digest,
    }


def all_tried(store: Store, study: Study, dictionary: Dictionary) -> list[Effect]:
    """Return the effect of every latent of a dictionary that was tried on this set."""
    shared, found = fingerprint(dict(_shared_key(study, dictionary))), []
    for entry in store.artefacts("effect"):
        key = dict(entry.key)
        spec = key.pop("effect", None)
        if spec is not None and fingerprint(key) == shared:
            found.append(kept_effect(store, study, dictionary, EffectSpec(**spec), _unmade).open())
    return [one for one in found if one is not None]


def _unmade(_: Report) -> Effect:
    raise AssertionError("only what is stored is asked for")


def corrected(effect: Effect, among: Sequence[Effect]) -> tuple[float, float]:
    """Return both experiments' smallest false discovery rate over all latents that were tried.

    Args:
        effect: One of them.
        among: All, both experiments of each are counted.
    """
    every = [effect, *(one for one in among if one.spec != effect.spec)]
    q = false_discovery(np.array([[one.steering.p, one.ablation.p] for one in every]))
    return float(q[0, 0]), float(q[0, 1])


def _tried(record: dict[str, Any]) -> Tried:
    return Tried(Estimate(*record["effect"]), record["n_texts"], tuple(record["controls"]))


def measure_effect(
    store: Store,
    study: Study,
    model: "OpenModel",
    dictionary: Dictionary,
    codes: FeatureActivations,
    spec: EffectSpec,
    report: Report = silent,
) -> Effect:
    """Steer and switch off a latent, beside the directions of other latents of like density.

    Args:
        store: Where states lie.
        study: Items and model.
        model: The open model.
        dictionary: A dictionary of it.
        codes: The items' codes by it.
        spec: What is tried.
        report: Told the number of latents tried.

    Raises:
        DictionaryError: There is no such latent, or the dictionary belongs to another model.
        CoreError: No action of the axis is held out, or steering made numbers that are not finite.
        Cancelled: The person cancelled.
    """
    check_fits(dictionary, model.card)
    check_model(model, study.plan)
    bench = _Experiment(store, study, model, dictionary, codes, spec)
    dictionary.direction(spec.latent)  # refuses a dead one before any work
    others = alike(codes, dictionary, spec.latent, spec.controls, spec.seed)
    steered, off = [], []
    for number, latent in enumerate([spec.latent, *others]):
        report(number, 1 + len(others), f"trying latents · {number} of {1 + len(others)}")
        steered.append(bench.steered(latent))
        off.append(bench.switched_off(latent))
    return Effect(spec, _beside(steered), _beside(off))


def _beside(shifts: Sequence[NDArray[np.float64]]) -> Tried:
    """Put the first latent's change beside those of the others."""
    own, *others = shifts
    if not len(own):
        return Tried(Estimate(np.nan, np.nan, np.nan), 0, ())
    controls = tuple(float(one.mean()) for one in others)
    return Tried(bootstrap_mean(own, np.arange(len(own))), len(own), controls)


def alike(
    codes: FeatureActivations, dictionary: Dictionary, latent: int, most: int, seed: int = 0
) -> NDArray[np.int64]:
    """Return random other latents that are on about as often, shape ``(<= most,)``.

    Args:
        codes: A set's codes.
        dictionary: The dictionary.
        latent: Whose like is looked for.
        most: How many.
        seed: Of the draw.
    """
    density = codes.density()
    alive = (density > 0) & (dictionary.w_dec.norm(dim=1).cpu().numpy() > 0)
    alive[latent] = False
    others = np.flatnonzero(alive)
    apart = np.abs(np.log(density[others]) - np.log(max(density[latent], 1e-9)))
    near = others[np.argsort(apart, kind="stable")[: _POOL * most]]
    drawn = np.random.default_rng(seed).permutation(near)[:most]
    return np.sort(drawn).astype(np.int64)


class _Experiment:
    """The same two experiments along the direction of one latent after the other."""

    def __init__(
        self,
        store: Store,
        study: Study,
        model: "OpenModel",
        dictionary: Dictionary,
        codes: FeatureActivations,
        spec: EffectSpec,
    ) -> None:
        self._study, self._model, self._codes = study, model, codes
        self._dictionary, self._layer, self._own = dictionary, dictionary.info.layer, spec.latent
        self._norm, self._strength = residual_norm(store, study, self._layer), spec.strength
        rows = held_out(study, spec.axis, MOST_ACTIONS)
        asked = [study.plan.prompts[row] for row in study.plan.rows[rows]]
        self._asked = hold(model, asked, self._layer)
        self._on = self._strongest()

    def _strongest(self) -> Held | None:
        """Hold the held-out texts on which the latent is most strongly on; None without any."""
        peaks = np.zeros(self._codes.n_prompts)
        np.maximum.at(peaks, self._codes.prompt, self._codes.of(self._own))
        peaks[self._study.items.split[self._study.first_rows] != "test"] = 0
        rows = np.argsort(-peaks, kind="stable")[:MOST_ACTIONS]
        prompts = [self._study.plan.prompts[row] for row in rows if peaks[row] > 0]
        return hold(self._model, prompts, self._layer) if prompts else None

    def _direction(self, latent: int) -> Direction:
        vector = self._dictionary.direction(latent)
        return Direction(f"latent {latent}", vector, "", self._layer, "latent")

    def _shift(self, held: Held, edit: LayerEdit) -> NDArray[np.float64]:
        after = steered_logits(self._model, held, [edit], "not first")
        return compared(self._model, held.logits, after, WordSets()).shift

    def steered(self, latent: int) -> NDArray[np.float64]:
        """Return half the difference between pushing and pulling, per action."""
        along = (self._direction(latent),)
        push, pull = (
            self._shift(self._asked, LayerEdit(self._layer, along, (strength,), self._norm, "add"))
            for strength in (self._strength, -self._strength)
        )
        return (push - pull) / 2

    def switched_off(self, latent: int) -> NDArray[np.float64]:
        """Return the change per held-out text where the tried latent is on; empty without any.

        What the tried latent writes is taken away; along another latent's direction, as much.
        """
        import torch

        if self._on is None:
            return np.zeros(0)
        dictionary, along = self._dictionary, self._direction(latent)
        if latent != self._own:
            rows = dictionary.w_dec.clone()
            rows[self._own] = rows[self._own].norm() * torch.from_numpy(along.vector).to(rows)
            dictionary = replace(dictionary, w_dec=rows)
        whose = (dictionary, (self._own,))
        return self._shift(
            self._on, LayerEdit(self._layer, (along,), (0.0,), self._norm, "clamp", *whose)
        )

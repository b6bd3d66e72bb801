"""Safe ranges: how far a push may go, either way, before the model is no longer itself.

A strength is safe while the model's next word on neutral text diverges little from the plain
model's. It needs no control directions, so that all axes of a layer cost under a minute.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from core import CoreError
from core.activations.prompts import Pooling
from core.activations.study import Study
from core.foundations import FOUNDATIONS
from core.runtime.made import Made, artefact, read_json, write_json
from core.runtime.progress import Report, silent
from core.runtime.store import Store
from core.steering.directions import Direction, Method, moral_direction
from core.steering.edits import LayerEdit, residual_norm
from core.steering.effects.neutral import Neutral, cost_of, hold_neutral
from core.steering.effects.pushes import asked_key
from core.steering.recipes import Positions

if TYPE_CHECKING:
    from core.models.open_models import OpenModel

#: Strengths that are tried, in residual norms.
STRENGTHS: Final = (-0.4, -0.3, -0.2, -0.1, -0.05, 0.0, 0.05, 0.1, 0.2, 0.3, 0.4)
#: Mean divergence on neutral text, in nats per token, up to which a strength counts as safe.
SAFE_KL: Final = 0.5

Ends = tuple[float, float]


@dataclass(frozen=True)
class RangeSpec:
    """How the directions of a layer are made whose safe ranges are measured."""

    layer: int
    """Decoder layer."""

    method: Method = "means"
    """How directions are made."""

    pooling: Pooling = "last"
    """From which pooled states."""

    positions: Positions = "not first"
    """Which tokens are moved."""


def safe_range(kl: Mapping[float, float]) -> Ends:
    """Return the widest range around 0 in which the divergence stays below ``SAFE_KL``.

    Args:
        kl: Strength -> divergence.
    """
    return _end(-1, kl), _end(1, kl)


def _end(sign: int, kl: Mapping[float, float]) -> float:
    end = 0.0
    for size in sorted(sign * strength for strength in kl if sign * strength > 0):
        if not kl[sign * size] <= SAFE_KL:
            break
        end = sign * size
    return end


def measure_safe_ranges(
    store: Store, study: Study, model: "OpenModel", spec: RangeSpec, report: Report = silent
) -> dict[str, Ends]:
    """Measure how far each foundation's axis may be pushed at one layer.

    Returns:
        Axis -> lowest and highest safe strength, in residual norms; axes without a direction are
        left out.

    Raises:
        CoreError: No axis has a direction.
        Cancelled: The person cancelled.
    """
    neutral, norm = hold_neutral(model, spec.layer), residual_norm(store, study, spec.layer)
    found: dict[str, Ends] = {}
    why: CoreError | None = None
    for number, axis in enumerate(FOUNDATIONS):
        report(number, len(FOUNDATIONS), f"layer {spec.layer}: pushing {axis}")
        try:
            own = moral_direction(
                store, study, axis, spec.layer, method=spec.method, pooling=spec.pooling
            )
        except CoreError as error:
            why = error
            continue
        found[axis] = _range_of(model, neutral, own, norm, spec.positions)
    if why and not found:
        raise why
    return found


def _range_of(
    model: "OpenModel", neutral: Neutral, own: Direction, norm: float, positions: Positions
) -> Ends:
    """Return a direction's safe range; outwards, so that nothing beyond its ends is asked."""
    kl: dict[float, float] = {}
    for sign in (-1, 1):
        for size in sorted(sign * one for one in STRENGTHS if sign * one > 0):
            edit = LayerEdit(own.layer, (own,), (sign * size,), norm, "add")
            kl[sign * size] = cost_of(model, neutral, [edit], positions).kl
            if not kl[sign * size] <= SAFE_KL:
                break
    return safe_range(kl)


def kept_safe_ranges(
    store: Store, study: Study, spec: RangeSpec, make: Callable[[Report], dict[str, Ends]]
) -> Made[dict[str, Ends]]:
    """Return the safe ranges of a layer's axes."""
    how: dict[str, Any] = {"safe": [spec.layer, spec.method, spec.pooling, spec.positions]}
    return artefact(
        store,
        "dose",
        asked_key(study, how),
        read=read_json("safe.json", _ranges),
        write=write_json("safe.json", dict),
        make=make,
        title=f"Measuring safe strengths at layer {spec.layer}",
        lane="model",
    )


def _ranges(record: Mapping[str, Any]) -> dict[str, Ends]:
    return {axis: (float(low), float(high)) for axis, (low, high) in record.items()}

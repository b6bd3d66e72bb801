"""What a list of models says beside the models: what a row's job asks for, and how large it is."""

import difflib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, Final

from core import CoreError

#: Minutes a job may run where the list does not say.
DEFAULT_MINUTES: Final = 24 * 60
#: Minutes, or Slurm's two forms that cannot be mistaken: D-HH:MM:SS and HH:MM:SS.
_TIME: Final = re.compile(r"(?:(\d{1,3})-)?(\d{1,3}):([0-5]\d):([0-5]\d)")
_MOST: Final = 10**15


class EntryError(CoreError):
    """What is wrong with one entry of a list."""


@dataclass(frozen=True)
class Needs:
    """What a row's job asks for; None and empty: not said."""

    partition: str = ""
    """Where Slurm puts it."""

    time: int | None = None
    """Minutes it may run before it is stopped and sent again."""

    gpus: int | None = None
    """Number of GPUs."""

    gpu_memory: int | None = None
    """Memory of one GPU in GB."""

    cpus: int | None = None
    """Processor cores."""

    memory: int | None = None
    """Main memory in GB."""

    parallel: int | None = None
    """Rows at the same time (on Slurm: of those with equal needs); one number for a list."""

    sbatch: tuple[tuple[str, str], ...] = ()
    """Further options of sbatch, such as an account; the same for all rows of a list."""

    def over(self, defaults: "Needs") -> "Needs":
        """Return these needs, with the defaults where nothing is said."""
        return Needs(
            **{
                one.name: getattr(defaults, one.name)
                if getattr(self, one.name) in (None, "", ())
                else getattr(self, one.name)
                for one in fields(self)
            }
        )


@dataclass(frozen=True)
class StatedSize:
    """What a list says of a model's size, for when the model itself is out of reach."""

    parameters: int | None = None
    """Weights."""

    active: int | None = None
    """Weights that one token meets; in a mixture fewer than all."""

    layers: int | None = None
    """Decoder layers."""

    width: int | None = None
    """Width of the residual stream."""


SIZES: Final = tuple(one.name for one in fields(StatedSize))
_COUNTS: Final = ("gpus", "gpu_memory", "cpus", "memory", "parallel")
#: Keys of ``[cluster]``; a row may say all but the last two for itself.
CLUSTER: Final = tuple(one.name for one in fields(Needs))
ROW_NEEDS: Final = CLUSTER[:-2]


def check_known(keys: Mapping[str, Any], known: Sequence[str]) -> None:
    """Refuse keys that mean nothing.

    Raises:
        EntryError: There is one; a known one that looks like it is named.
    """
    for key in keys:
        if key not in known:
            near = difflib.get_close_matches(key, known, 1)
            meant = f"did you mean {near[0]}? " if near else ""
            raise EntryError(f"unknown key {key!r}: {meant}Possible keys: {', '.join(known)}.")


def read_needs(keys: Mapping[str, Any]) -> Needs:
    """Return what a row or ``[cluster]`` asks for.

    Raises:
        EntryError: A value cannot be meant.
    """
    told: dict[str, Any] = {
        name: _whole(keys, name, least=0 if name == "gpus" else 1) for name in _COUNTS
    }
    partition = keys.get("partition", "")
    if not isinstance(partition, str):
        raise EntryError('partition must be a text in quotes, such as partition = "gpu".')
    more = keys.get("sbatch", {})
    if not isinstance(more, Mapping) or any(type(one) not in (str, int) for one in more.values()):
        raise EntryError('sbatch must be a table of texts, such as sbatch = { account = "x" }.')
    options = tuple((str(name), str(value)) for name, value in more.items())
    return Needs(partition=partition, time=_minutes(keys.get("time")), sbatch=options, **told)


def read_size(keys: Mapping[str, Any]) -> StatedSize:
    """Return what a row says of its model's size.

    Raises:
        EntryError: A number cannot be meant.
    """
    told = {name: _whole(keys, name) for name in SIZES}
    size = StatedSize(**told)
    if size.active and size.parameters and size.active > size.parameters:
        raise EntryError("active cannot exceed parameters: it is the part one token meets.")
    return size


def _whole(keys: Mapping[str, Any], name: str, least: int = 1) -> int | None:
    value = keys.get(name)
    if value is None:
        return None
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= _MOST:
        raise EntryError(f"{name} must be a whole number from {least} up, not {value!r}.")
    return value


def _minutes(value: Any) -> int | None:
    """Return minutes; seconds are rounded up."""
    if value is None:
        return None
    if isinstance(value, int) and not isinstance(value, bool) and 0 < value < _MOST:
        return value
    match = _TIME.fullmatch(value) if isinstance(value, str) else None
    if match is None or not any(int(part or 0) for part in match.groups()):
        raise EntryError(
            f'time must be minutes (time = 90), or "HH:MM:SS" or "D-HH:MM:SS", not {value!r}.'
        )
    days, hours, minutes, seconds = (int(part or 0) for part in match.groups())
    return (days * 24 + hours) * 60 + minutes + (seconds > 0)

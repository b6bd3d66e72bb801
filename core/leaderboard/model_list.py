"""A list of models in TOML: what a sweep goes through. A wrong entry does not spoil the others."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final, NamedTuple, cast

from core import CoreError
from core.diagnosis.leaderboard_rows import ModelTags
from core.leaderboard.job_needs import (
    CLUSTER,
    ROW_NEEDS,
    SIZES,
    EntryError,
    Needs,
    StatedSize,
    check_known,
    read_needs,
    read_size,
)
from core.models.spec import ModelSpec, Source, SpecError

#: The list of the 23 models of arXiv 2603.15615, named in place of a file.
PAPER: Final = "paper"
PAPER_FILE: Final = Path(__file__).resolve().parents[1] / "data" / "paper-models.toml"
#: A list larger than this is no list of models.
MOST_BYTES: Final = 1_000_000

_SOURCES: Final = ("hub", "folder", "gguf", "packaged", "fetched")
_LABELS: Final = ("name", "family", "size", "training")
_TEXTS: Final = (
    "hub", "folder", "gguf", "fetched", "revision", "dtype", "device", "backend", "aligned",
    *_LABELS,
)  # fmt: skip
_SWITCHES: Final = ("packaged", "spread", "remote")
_KEYS: Final = (*_TEXTS, *_SWITCHES, "untrained", *SIZES, *ROW_NEEDS)
_EXAMPLE: Final = (
    '[[model]]\nhub = "Qwen/Qwen3-0.6B-Base"\nfamily = "Qwen3"\nsize = "0.6B"\ntraining = "base"'
)


@dataclass(frozen=True)
class Entry:
    """One model of a list."""

    name: str
    """What it is called in the table."""

    asked: str
    """What the list names: a hub id, a path, ``packaged``; empty if it names nothing."""

    labels: ModelTags
    """What the list says about it."""

    spec: ModelSpec | None
    """What to load; None: the entry cannot mean anything."""

    problem: str = ""
    """Why it cannot; empty otherwise."""

    aligned: str = ""
    """Aligned dictionary on the model's shelf that is spliced in while it reads; empty: none."""

    needs: Needs = field(default_factory=Needs)
    """What its job asks for, with the list's defaults."""

    size: StatedSize = field(default_factory=StatedSize)
    """What the list says of its size."""


class _Told(NamedTuple):
    asked: str
    spec: ModelSpec


def read_list(path: Path) -> list[Entry]:
    """Return the entries of a list; those that cannot mean anything carry the reason.

    Relative paths of folders and GGUF files start at the list's own folder.

    Raises:
        CoreError: The file cannot be read, is no TOML, names no model, or says what it means for
            all rows in a way that cannot be meant.
    """
    told = _contents(path)
    defaults = _defaults(told, path)
    entries: list[Entry] = []
    first: dict[tuple[ModelSpec, str], str] = {}
    for number, keys in enumerate(told["model"], 1):
        entry = _entry(number, keys, path.absolute().parent, defaults)
        if entry.spec is not None:
            known = first.setdefault((entry.spec, entry.aligned), f"entry {number}")
            if known != f"entry {number}":
                problem = f"Entry {number} repeats the model of {known}. Leave one out."
                entry = Entry(entry.name, entry.asked, entry.labels, None, problem)
        entries.append(entry)
    return entries


def _contents(path: Path) -> dict[str, Any]:
    """Return what a file says; it has ``[[model]]`` tables."""
    try:
        if path.stat().st_size > MOST_BYTES:
            raise CoreError(f"{path} is too large for a list of models: more than 1 MB.")
        told = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise CoreError(
            f"The list {path} cannot be read: {error.strerror}. Name a TOML file, or {PAPER!r} for "
            "the 23 models of the paper."
        ) from error
    except ValueError as error:  # neither TOML nor UTF-8
        raise CoreError(
            f"{path} is not TOML: {error}. A list looks like this:\n{_EXAMPLE}"
        ) from error
    if not isinstance(told.get("model"), list) or not told["model"]:
        raise CoreError(f"{path} names no model. A list looks like this:\n{_EXAMPLE}")
    return told


def _defaults(told: Mapping[str, Any], path: Path) -> Needs:
    """Return what ``[cluster]`` asks for all rows.

    Raises:
        CoreError: It cannot be meant, or the file has other tables.
    """
    try:
        check_known(told, ("model", "cluster"))
        keys = told.get("cluster", {})
        check_known(keys if isinstance(keys, Mapping) else {"cluster": keys}, CLUSTER)
        return read_needs(keys)
    except EntryError as error:
        raise CoreError(f"{path}: {error}") from error


def _entry(number: int, keys: Any, folder: Path, defaults: Needs) -> Entry:
    """Return one entry, with its problem if it has one."""
    if not isinstance(keys, Mapping):
        return Entry(f"entry {number}", "", ModelTags(), None, f"Entry {number} is not a table.")
    known = {key: value for key, value in keys.items() if isinstance(value, str)}
    labels = ModelTags(*(known.get(label, "") for label in _LABELS))
    asked = next((known[source] for source in _SOURCES if source in known), "")
    name = labels.name or asked or f"entry {number}"
    try:
        _check_keys(keys)
        told = _told(keys, folder)
        needs, size = read_needs(keys).over(defaults), read_size(keys)
    except CoreError as error:
        who = f"Entry {number}" + (f" ({name})" if asked or labels.name else "")
        return Entry(name, asked, labels, None, f"{who}: {error}")
    aligned = known.get("aligned", "")
    if aligned:
        labels = replace(
            labels,
            name=labels.name or f"{told.spec.label}, aligned ({aligned[:12]})",
            training=labels.training or "aligned",
        )
    name = labels.name or told.spec.label
    return Entry(name, told.asked, labels, told.spec, aligned=aligned, needs=needs, size=size)


def _check_keys(keys: Mapping[str, Any]) -> None:
    """Refuse keys and types that mean nothing."""
    check_known(keys, _KEYS)
    for key, value in keys.items():
        if key in _TEXTS and not isinstance(value, str):
            raise EntryError(f'{key} must be a text in quotes, such as {key} = "…".')
        if key in _SWITCHES and not isinstance(value, bool):
            raise EntryError(f"{key} must be true or false.")
    seed = keys.get("untrained")
    if "untrained" in keys and "aligned" in keys:
        raise EntryError("aligned and untrained do not go together: leave one out.")
    if "untrained" in keys and (not isinstance(seed, int) or isinstance(seed, bool)):
        raise EntryError("untrained must be a seed: a whole number.")


def _told(keys: Mapping[str, Any], folder: Path) -> _Told:
    """Return what an entry names.

    Raises:
        CoreError: It names nothing, or several models, or its options do not go together.
    """
    sources = [source for source in _SOURCES if keys.get(source)]
    if len(sources) != 1:
        found = " and ".join(sources) or "none"
        raise EntryError(f"name one of {', '.join(_SOURCES)}; found {found}.")
    source, place = sources[0], keys[sources[0]]
    asked = "packaged" if source == "packaged" else str(place)
    location = "" if source == "packaged" else asked
    if source in ("folder", "gguf"):
        location = str((folder / Path(asked).expanduser()).resolve())
    try:
        spec = ModelSpec(
            cast("Source", source),
            location,
            keys.get("revision", ""),
            untrained_seed=keys.get("untrained"),
            dtype=keys.get("dtype", "auto"),
            device=keys.get("device", "auto"),
            spread=keys.get("spread", False),
            remote=keys.get("remote", False),
            backend=keys.get("backend", "nnsight"),
        )
    except SpecError as error:
        raise EntryError(str(error)) from error
    return _Told(asked, spec)

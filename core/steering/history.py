"""Runs that were made: kept on disk with pin, star and note, newest first."""

import json
import math
import os
import re
import tempfile
import time
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from core import CoreError
from core.runtime.store import Store, clear_disk_errors, fingerprint
from core.steering.recipes import Recipe, RecipeError, recipe_of

FOLDER: Final = "history"
#: Runs that are kept; beyond them the oldest without pin or star goes.
MOST_RUNS: Final = 500
MOST_NOTE: Final = 2000
_NAME: Final = re.compile(r"[0-9a-f]{16}")


@dataclass(frozen=True)
class Run:
    """A recipe, what was asked, and what came out."""

    recipe: Recipe
    """How."""

    prompt: str
    """What was continued."""

    plain: tuple[str, ...]
    """Texts without steering."""

    steered: tuple[str, ...]
    """Texts with steering."""

    changed_tokens: int
    """Tokens in which they differ."""

    calls: int
    """Times that an edit ran."""

    receipt: dict[str, Any] = field(default_factory=dict)
    """Model, items, versions, device."""

    made: float = 0.0
    """Seconds since 1970 UTC."""

    pinned: bool = False
    """Stays on top."""

    starred: bool = False
    """Marked as good."""

    note: str = ""
    """A person's own words."""

    parent: str = ""
    """Name of the run it was branched from; empty if none."""

    stopped: bool = False
    """Whether the person stopped it before its end."""

    @property
    def name(self) -> str:
        """16 hex digits: the same recipe and prompt have the same name.

        A run that was stopped has another one: it must not replace the whole.
        """
        made = {"recipe": self.recipe.digest, "prompt": self.prompt}
        return fingerprint({**made, "stopped": True} if self.stopped else made)[:16]

    @property
    def texts_digest(self) -> str:
        """12 hex digits of the texts: another machine can tell whether it wrote the same."""
        return fingerprint([self.plain, self.steered])[:12]

    @property
    def same(self) -> bool:
        """Whether steering left every text as it was."""
        return self.plain == self.steered


def save_run(store: Store, run: Run) -> Run:
    """Write a run; pin, star and note of an earlier run of the same name stay.

    Raises:
        CacheError: The disk is full or cannot be written.
    """
    before = open_run(store, run.name)
    if before is not None:
        run = replace(run, pinned=before.pinned, starred=before.starred, note=before.note)
    run = replace(run, made=run.made or time.time())
    _write(store, run)
    for old in runs(store)[MOST_RUNS:]:
        if old.name != run.name and not (old.pinned or old.starred):
            delete_run(store, old.name)
    return run


def mark_run(store: Store, name: str, **marks: Any) -> Run:
    """Change a run's ``pinned``, ``starred`` or ``note``.

    Raises:
        CoreError: There is no such run, or the note is too long.
    """
    run = open_run(store, name)
    if run is None:
        raise CoreError("This run is not in the history any more.")
    if len(marks.get("note", "")) > MOST_NOTE:
        raise CoreError(f"A note has at most {MOST_NOTE:,} characters.")
    run = replace(run, **marks)
    _write(store, run)
    return run


def delete_run(store: Store, name: str) -> None:
    """Remove a run; nothing happens if there is none."""
    if not _NAME.fullmatch(name):
        return
    with clear_disk_errors(store.root):
        _path(store, name).unlink(missing_ok=True)


def open_run(store: Store, name: str) -> Run | None:
    """Return a run by name, None if there is none or its file is damaged."""
    if not _NAME.fullmatch(name):
        return None
    try:
        run = run_of(_path(store, name).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, RecipeError):
        return None
    return run if run.name == name else None


def runs(store: Store) -> list[Run]:
    """Return all runs: pinned first, then by age, the newest first; damaged files are passed by."""
    folder = store.root / FOLDER
    names = [path.stem for path in folder.glob("*.json")] if folder.is_dir() else []
    found = [run for run in (open_run(store, name) for name in names) if run is not None]
    return sorted(found, key=lambda run: (not run.pinned, -run.made))


def run_json(run: Run) -> str:
    """Return a run as JSON; ``run_of`` reads it."""
    record = asdict(run)
    record["recipe"] = json.loads(run.recipe.json())
    return json.dumps(record, ensure_ascii=False, indent=1)


def run_of(text: str) -> Run:
    """Read a run from its JSON.

    Raises:
        RecipeError: It is no run, or a newer version.
    """
    try:
        record = json.loads(text)
        recipe = recipe_of(json.dumps(record.pop("recipe")))
        record["plain"], record["steered"] = _texts(record["plain"]), _texts(record["steered"])
        run = Run(recipe, **record)
        _check(run)
        json.dumps(asdict(run), ensure_ascii=False).encode()  # half a character has no bytes
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise RecipeError(f"This is no run of Moralscope: {error}.") from error
    return run


def _texts(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(text, str) for text in value):
        raise TypeError("its texts are no list of texts")
    return tuple(value)


def _check(run: Run) -> None:
    """Refuse values of another kind than a run has.

    Raises:
        ValueError: Says which.
    """
    kinds: dict[str, type | tuple[type, ...]] = {
        "prompt": str,
        "changed_tokens": int,
        "calls": int,
        "receipt": dict,
        "made": (int, float),
        "pinned": bool,
        "starred": bool,
        "note": str,
        "parent": str,
        "stopped": bool,
    }
    wrong = [name for name, kind in kinds.items() if not isinstance(getattr(run, name), kind)]
    if len(run.plain) != len(run.steered):
        wrong.append("number of texts")
    if not wrong and not math.isfinite(run.made):
        wrong.append("made")
    if not wrong and len(run.note) > MOST_NOTE:
        wrong.append("note")
    if not wrong and run.parent and not _NAME.fullmatch(run.parent):
        wrong.append("parent")
    if wrong:
        raise ValueError(f"it has no possible {', '.join(wrong)}")


def _path(store: Store, name: str) -> Path:
    return store.root / FOLDER / f"{name}.json"


def _write(store: Store, run: Run) -> None:
    """Write beside, then rename: a killed process leaves the old file or the new one."""
    path = _path(store, run.name)
    with clear_disk_errors(store.root):
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=path.parent, suffix=".part")
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                file.write(run_json(run))
            Path(temporary).replace(path)
        finally:
            Path(temporary).unlink(missing_ok=True)

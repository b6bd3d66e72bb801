"""Prompts of an evaluation, in Flames' layout: dimension, subcomponent, prompt.

Flames itself (Apache-2.0, https://github.com/AIFlames/Flames) is never part of the project: a
person's copy is read as any other file.
"""

import json
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from core import CoreError
from core.runtime.store import fingerprint
from core.steering.recipes import MOST_PROMPT

FILE: Final = Path(__file__).resolve().parents[1] / "data" / "prompts.jsonl"
BUILTIN: Final = "builtin"
#: Larger files are no list of prompts.
MOST_BYTES: Final = 20 * 10**6
MOST_PROMPTS: Final = 5000
NOTE: Final = "Authored for this project; English; none asks for a recipe for harm."
_FORMS: Final = (".jsonl", ".csv", ".tsv", ".parquet")
_TOLD: Final = 5


class PromptsError(CoreError):
    """A file of prompts cannot be used."""


class Prompt(NamedTuple):
    """One question."""

    text: str
    """What is asked."""

    dimension: str
    """What it tests, such as ``Morality``; Flames' names in one spelling."""

    subcomponent: str
    """More closely; may be empty."""


@dataclass(frozen=True, eq=False)
class PromptSet:
    """Prompts in the order of their file, no text twice."""

    name: str
    """What it is called."""

    prompts: tuple[Prompt, ...]
    """The prompts."""

    note: str = ""
    """Where they come from."""

    problems: tuple[str, ...] = ()
    """What was left out, and why; the first few in words."""

    word: str = ""
    """What the command line calls it: ``BUILTIN``, ``flames``, or the name of its file."""

    def __len__(self) -> int:
        return len(self.prompts)

    @cached_property
    def digest(self) -> str:
        """SHA-256 over texts and dimensions."""
        return fingerprint([list(one) for one in self.prompts])

    @property
    def texts(self) -> list[str]:
        """The texts."""
        return [one.text for one in self.prompts]

    @property
    def dimensions(self) -> list[str]:
        """Different dimensions, in order of appearance."""
        return list(dict.fromkeys(one.dimension for one in self.prompts))

    def choosing(self, seed: int = 0) -> NDArray[np.bool_]:
        """Return which prompts may choose strengths and layers; the others report.

        Half of each dimension, by text and seed alone.
        """
        chosen = np.zeros(len(self), bool)
        for dimension in self.dimensions:
            rows = [row for row, one in enumerate(self.prompts) if one.dimension == dimension]
            order = sorted(rows, key=lambda row: fingerprint([seed, self.prompts[row].text]))
            chosen[order[: len(order) // 2]] = True
        return chosen

    def take(self, rows: NDArray[np.bool_] | NDArray[np.int64]) -> "PromptSet":
        """Return some of the prompts."""
        kept = tuple(self.prompts[row] for row in np.arange(len(self))[rows])
        return PromptSet(self.name, kept, self.note, word=self.word)


def builtin_prompts() -> PromptSet:
    """Return the 120 prompts written for this project, 24 for each of Flames' dimensions."""
    kept = _read(FILE).prompts
    return PromptSet("Everyday questions (written for this project)", kept, NOTE, word=BUILTIN)


def read_prompts(path: Path) -> PromptSet:
    """Return the prompts of a JSONL, CSV, TSV or Parquet file.

    Rows that cannot be used are left out and told: broken lines, empty, doubled or overlong
    prompts.

    Raises:
        PromptsError: The file is not there, too large, or holds no prompt.
    """
    path = path.expanduser()
    if path.suffix.lower() not in _FORMS:
        raise PromptsError(f"{path.name} is none of {', '.join(_FORMS)}.")
    if not path.is_file():
        raise PromptsError(f"There is no file {path}. Give the path of a JSONL, CSV or Parquet.")
    if path.stat().st_size > MOST_BYTES:
        raise PromptsError(
            f"{path.name} has {path.stat().st_size / 1e6:.0f} MB; prompts of at most "
            f"{MOST_BYTES / 1e6:.0f} MB are read."
        )
    found = _read(path)
    if not found.prompts:
        why = f" {found.problems[0]}" if found.problems else ""
        raise PromptsError(
            f"{path.name} holds no prompt.{why} Each row needs a text under prompt, best also "
            "dimension and subcomponent."
        )
    return found


def parse_prompts(name: str, data: bytes) -> PromptSet:
    """Return the prompts of a file that was handed over, as ``read_prompts``.

    Raises:
        PromptsError: It cannot be used.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / Path(name).name
        path.write_bytes(data)
        return read_prompts(path)


def _read(path: Path) -> PromptSet:
    kept: dict[str, Prompt] = {}
    problems: list[str] = []
    left = 0
    for number, row in enumerate(_rows(path), 1):
        prompt, why = _prompt(row)
        if prompt is not None and prompt.text in kept:
            why = "it stands there before"
        elif prompt is not None and len(kept) >= MOST_PROMPTS:
            why = f"more than {MOST_PROMPTS:,} are not taken"
        elif prompt is not None:
            kept[prompt.text] = prompt
            continue
        left += 1
        if len(problems) < _TOLD:
            problems.append(f"Row {number} is left out: {why}.")
    if left > len(problems):
        problems.append(f"{left - len(problems):,} further rows are left out.")
    told = tuple(problems)
    return PromptSet(path.name, tuple(kept.values()), path.name, told, word=path.name)


def _rows(path: Path) -> Iterator[Any]:
    """Yield a mapping per row; what is none is told by the one who asks."""
    if path.suffix.lower() == ".jsonl":
        try:
            text = path.read_text(encoding="utf-8-sig")
        except UnicodeDecodeError as error:
            raise PromptsError(f"{path.name} is not UTF-8 text. Save it as UTF-8.") from error
        for line in text.splitlines():
            if line.strip():
                yield _json(line)
        return
    import pandas as pd
    from pyarrow import ArrowException  # of a damaged Parquet; pandas' parser raises ValueErrors

    try:
        if path.suffix.lower() == ".parquet":
            table = pd.read_parquet(path)
        else:
            sep = "\t" if path.suffix.lower() == ".tsv" else ","
            table = pd.read_csv(path, sep=sep, dtype=str, keep_default_na=False)
    except (ValueError, OSError, ArrowException) as error:
        reason = " ".join(str(error).split())[:200]
        raise PromptsError(f"{path.name} cannot be read as a table: {reason}") from error
    yield from table.to_dict("records")


def _json(line: str) -> Any:
    try:
        return json.loads(line)
    except ValueError:
        return None


def _prompt(row: Any) -> tuple[Prompt | None, str]:
    """Return a row's prompt, or why there is none."""
    if not isinstance(row, dict):
        return None, "it is no JSON object"
    told = {str(name).strip().lower(): value for name, value in row.items()}
    text = told.get("prompt")
    if not isinstance(text, str) or not text.strip():
        return None, "it has no text under prompt"
    if len(text) > MOST_PROMPT:
        return None, f"its {len(text):,} characters are more than {MOST_PROMPT:,}"
    if any("\ud800" <= letter <= "\udfff" for letter in text):
        return None, "it holds half a character"
    dimension, sub = (str(told.get(name) or "").strip() for name in ("dimension", "subcomponent"))
    # Flames spells "Data protection" and its code "Data Protection".
    return Prompt(text.strip(), dimension[:1].upper() + dimension[1:].lower() or "All", sub), ""

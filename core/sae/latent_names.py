"""What latents are called: a person's own name, else the words that the latent promotes.

Names lie beside the artefacts in a file for each dictionary; the words of the project's own
dictionary come along. They are for people: a recipe and an address go on naming latents by number.
"""

import json
import tempfile
import threading
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Final, Literal, NamedTuple

from core import CoreError
from core.runtime.store import Store, clear_disk_errors
from core.sae.dictionary import Dictionary

FOLDER: Final = "latent-names"
#: Words of the project's own dictionary; ``python -m core features packaged --names`` makes them.
FILE: Final = Path(__file__).resolve().parents[1] / "data" / "gemma3-270m-layer9-names.json"
#: Characters of a name: it stands in tables and at sliders.
MOST_NAME: Final = 40
#: Digits of a dictionary's digest that name its file.
_DIGITS: Final = 16
_writing = threading.Lock()

Kind = Literal["given", "promoted"]


class LatentNames(NamedTuple):
    """Names of a dictionary's latents by number."""

    given: dict[int, str]
    """By a person."""

    promoted: dict[int, str]
    """The words that a latent promotes most."""

    def of(self, latent: int) -> str:
        """Return what a latent is called; empty if it has no name."""
        return self.given.get(latent) or self.promoted.get(latent, "")


def latent_names(store: Store, dictionary: Dictionary) -> LatentNames:
    """Return the names of a dictionary's latents; what cannot be read is no name."""
    kept = _kept(store, dictionary)
    return LatentNames(kept.given, kept.promoted or _shipped(dictionary.digest))


def _kept(store: Store, dictionary: Dictionary) -> LatentNames:
    """Return the names that lie in the store."""
    try:
        told = json.loads(_path(store, dictionary).read_text(encoding="utf-8"))
        found = {
            kind: {int(one): clean_name(str(name)) for one, name in told[kind].items()}
            for kind in LatentNames._fields
        }
    except (OSError, ValueError, KeyError, TypeError, AttributeError, CoreError):
        return LatentNames({}, {})
    return LatentNames(**found)


@cache
def _shipped(digest: str) -> dict[int, str]:
    """Return the words that come along for a dictionary; none for any but the project's own."""
    told = json.loads(FILE.read_text(encoding="utf-8"))
    return dict(enumerate(told["names"])) if told["dictionary"] == digest else {}


def write_names(path: Path, dictionary: Dictionary, names: Mapping[int, str], command: str) -> None:
    """Write the names of all latents as one JSON file.

    Raises:
        CoreError: It cannot be written.
    """
    every = [names.get(latent, "") for latent in range(dictionary.n_latents)]
    told = {"command": command, "dictionary": dictionary.digest}
    lines = [f" {json.dumps(name)}: {json.dumps(one)}" for name, one in told.items()]
    rows = ",\n".join(f"  {json.dumps(one, ensure_ascii=False)}" for one in every)
    try:
        path.write_text(
            "{\n" + ",\n".join(lines) + f',\n "names": [\n{rows}\n ]\n}}\n', encoding="utf-8"
        )
    except OSError as error:
        raise CoreError(
            f"{path} cannot be written: {error.strerror}. Name another file."
        ) from error


def give_name(store: Store, dictionary: Dictionary, latent: int, name: str) -> str:
    """Keep a person's name of a latent; an empty one takes it back.

    Returns:
        The name as it is kept: without line breaks and what is not printed.

    Raises:
        CoreError: It is too long, or there is no such latent.
        CacheError: The disk is full or cannot be written.
    """
    if not 0 <= latent < dictionary.n_latents:
        raise CoreError(
            f"{dictionary.info.name} has no latent {latent}. Choose 0 to "
            f"{dictionary.n_latents - 1:,}."
        )
    kept = clean_name(name)
    _keep(store, dictionary, "given", {latent: kept})
    return kept


def keep_promoted(store: Store, dictionary: Dictionary, words: Mapping[int, str]) -> None:
    """Keep names made of promoted words.

    Raises:
        CacheError: The disk is full or cannot be written.
    """
    _keep(store, dictionary, "promoted", words)


def clean_name(name: str) -> str:
    """Return a name on one line, without what is not printed.

    Raises:
        CoreError: It has more than ``MOST_NAME`` characters.
    """
    told = " ".join("".join(one if one.isprintable() else " " for one in name).split())
    if len(told) > MOST_NAME:
        raise CoreError(
            f"A latent's name has at most {MOST_NAME} characters; this one has {len(told)}. "
            "Choose a shorter one."
        )
    return told


def _keep(store: Store, dictionary: Dictionary, kind: Kind, names: Mapping[int, str]) -> None:
    """Add names of one kind to a dictionary's file; empty ones are taken out."""
    path = _path(store, dictionary)
    with _writing, clear_disk_errors(store.root):
        known = _kept(store, dictionary)._asdict()
        merged = {**known[kind], **names}
        known[kind] = {one: name for one, name in sorted(merged.items()) if name}
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(
            "w", dir=path.parent, encoding="utf-8", delete=False
        ) as file:
            json.dump(known, file, ensure_ascii=False)
        Path(file.name).replace(path)


def _path(store: Store, dictionary: Dictionary) -> Path:
    return store.root / FOLDER / f"{dictionary.digest[:_DIGITS]}.json"

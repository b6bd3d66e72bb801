"""Dictionaries at hand: the project's own, those trained here, those brought from elsewhere.

A recipe and an address name a dictionary by the SHA-256 of its weights and rule, so that a latent
is the same latent on every machine.
"""

import json
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from core.models.gguf import PACKAGED_SHA256
from core.runtime.store import Store
from core.sae import patches
from core.sae.dictionary import Dictionary, DictionaryError, check_fits
from core.sae.files import SAELENS_CONFIG, load_folder, save_folder
from core.sae.layouts.saelens import OWN
from core.sae.layouts.shared import Hints, layer_of

if TYPE_CHECKING:
    from core.models.card import ModelCard

#: Name of the dictionary that comes with the project, for the packaged model.
BUILTIN: Final = "builtin"
BUILTIN_FOLDER: Final = Path(__file__).resolve().parents[1] / "data" / "gemma3-270m-layer9"
KIND: Final = "dictionary"


class Shelved(NamedTuple):
    """A dictionary on disk; its weights are not loaded yet."""

    digest: str
    """Name of its artefact; ``builtin`` for the project's own."""

    folder: Path
    """Where it lies, in the format of SAELens."""

    name: str
    """Short name for people."""

    layer: int
    """Decoder layer."""

    n_latents: int
    """How many latents."""

    before: str = ""
    """Digest of what an aligned one was before; empty for all others."""

    @classmethod
    def at(cls, digest: str, folder: Path) -> "Shelved | None":
        """Read a folder's description; None if it cannot be read."""
        try:
            cfg = json.loads((folder / SAELENS_CONFIG).read_text(encoding="utf-8"))
            metadata = cfg["metadata"]
            name = str(metadata[OWN]["name"])
            layer = layer_of(name, metadata["hook_name"])
            training = dict(metadata[OWN].get("training") or {})
            before = str(training.get("before", "")) if "aligned" in training else ""
            return cls(digest, folder, name, layer, int(cfg["d_sae"]), before)
        except (OSError, ValueError, KeyError, TypeError, DictionaryError):
            return None

    @property
    def size(self) -> int:
        """Bytes on disk."""
        return sum(path.stat().st_size for path in self.folder.iterdir())

    def load(self) -> Dictionary:
        """Return the dictionary; the last few are kept in memory.

        Raises:
            DictionaryError: It is damaged.
        """
        stamp = (self.folder / SAELENS_CONFIG).stat().st_mtime_ns
        return _loaded(self.folder, stamp, self.digest)


@lru_cache(maxsize=4)
def _loaded(folder: Path, stamp: int, name: str) -> Dictionary:
    del stamp  # a folder written anew is another dictionary
    return load_folder(folder, Hints(source=name))


def shelved(store: Store, card: "ModelCard") -> list[Shelved]:
    """List the dictionaries of a model that are at hand, the newest first, the project's own last.

    Args:
        store: Where they lie.
        card: The model.
    """
    found = [
        (entry.digest, store.root / KIND / entry.digest)
        for entry in store.artefacts(KIND)
        if entry.key.get("model") == card.identity
    ]
    if card.identity == f"gguf:{PACKAGED_SHA256}":
        found.append((BUILTIN, BUILTIN_FOLDER))
    several = [Shelved.at(name, folder) for name, folder in found]
    return [one for one in several if one is not None]


def find_shelved(store: Store, card: "ModelCard", name: str) -> Shelved:
    """Return a dictionary of a model by ``builtin`` or the first digits of its artefact's name.

    Raises:
        DictionaryError: There is none, or several.
    """
    known = shelved(store, card)
    found = [one for one in known if name and one.digest.startswith(name)]
    if len(found) == 1:
        return found[0]
    names = ", ".join(one.digest[:12] for one in known) or "none yet"
    raise DictionaryError(
        f"{card.name} has {len(found) or 'no'} dictionaries named {name!r}. At hand: {names}."
    )


def keep_dictionary(store: Store, dictionary: Dictionary, card: "ModelCard") -> str:
    """Put a dictionary from elsewhere on the shelf of a model.

    Args:
        store: Where it is kept.
        dictionary: Any dictionary.
        card: The model whose states it takes apart.

    Returns:
        Name of its artefact.

    Raises:
        DictionaryError: It belongs to another model.
        CacheError: The disk is full or cannot be written.
    """
    check_fits(dictionary, card)
    key: dict[str, Any] = {"model": card.identity, "brought": dictionary.digest}
    if not store.has(KIND, key):
        with store.writing(KIND, key) as folder:
            save_folder(dictionary, folder)
    return store.folder(KIND, key).name


def open_dictionary(store: Store, card: "ModelCard", digest: str) -> Dictionary:
    """Return the dictionary of a model whose weights have this digest, or begin so.

    Args:
        store: Where dictionaries lie.
        card: The model.
        digest: ``DIGITS`` or more of a dictionary's digest.

    Raises:
        DictionaryError: None at hand has it.
    """
    for one in shelved(store, card):
        try:
            found = one.load()
        except DictionaryError:  # a damaged one must not hide the others
            continue
        if found.digest.startswith(digest):
            return found
    patched = _patched(store, card, digest)
    if patched is not None:
        return patched
    raise DictionaryError(
        f"The dictionary {digest[:12]} of {card.name} is not at hand. Load or train it on the "
        "Features page, then open the link again."
    )


def _patched(store: Store, card: "ModelCard", digest: str) -> Dictionary | None:
    """Return an aligned dictionary, or the empty one that it was before; None if there is none."""
    for entry in store.artefacts(patches.KIND):
        folder = store.root / patches.KIND / entry.digest
        named = patches.digests_of(folder) if entry.key.get("model") == card.identity else None
        if named is None or not any(one.startswith(digest) for one in named):
            continue
        before = patches.nothing_before(folder)
        if named[0].startswith(digest):
            base = open_dictionary(store, card, named[1]) if before is None else before
            weights = folder / patches.WEIGHTS
            stamp = weights.stat().st_mtime_ns if weights.is_file() else 0
            before = _patched_once(folder, stamp, base)
        if before is not None:
            return before
    return None


@lru_cache(maxsize=4)
def _patched_once(folder: Path, stamp: int, base: Dictionary) -> Dictionary | None:
    """Return an aligned dictionary; the last few are kept: digests of all weights take time."""
    del stamp  # a patch written anew is another dictionary
    return patches.open_patch(folder, base)

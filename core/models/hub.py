"""Models on the Hugging Face hub: which commit, which files, and their download.

Works offline with what was downloaded before. Nothing here runs code from a model.
"""

import contextlib
import fnmatch
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from core.models.folder import (
    INDEX_FILE,
    SINGLE_FILE,
    TOKENIZER_EXTRAS,
    TOKENIZER_FILES,
    refuse_adapter,
    refuse_weights,
)
from core.models.spec import ModelError, ModelSpec
from core.runtime.progress import Report, silent

#: What is downloaded beside the weights.
_SMALL: Final = (
    "config.json", "generation_config.json", "tokenizer*", "special_tokens_map.json",
    "added_tokens.json", "vocab.json", "vocab.txt", "merges.txt", "spiece.model", "tekken.json",
    "chat_template*", "README.md", "LICENSE*", INDEX_FILE,
)  # fmt: skip
_SHARDS: Final = "model-*-of-*.safetensors"
TIMEOUT: Final = 10.0  # seconds for the hub to answer


@dataclass(frozen=True)
class Release:
    """One commit of a hub model."""

    commit: str
    """Its SHA, 40 hex digits."""

    files: tuple[str, ...]
    """Names of the files needed to open it, weights last."""

    n_parameters: int | None
    """As the hub counts them; None if it does not say, or offline."""

    licence: str
    """As its card states, with gating."""

    folder: Path | None
    """Where it lies already, whole; None if something has to be downloaded."""


def find_release(spec: ModelSpec, *, weights: bool) -> Release:
    """Find the commit a spec means: asks the hub, or without a network what was downloaded before.

    Args:
        spec: A hub spec.
        weights: Whether the weights are needed; an untrained control needs none.

    Raises:
        ModelError: Unknown id or revision, no access, no network and no copy, no safetensors.
    """
    from huggingface_hub import HfApi

    api = HfApi()
    try:
        with clear_hub_errors(spec):
            info = api.model_info(
                spec.location, revision=spec.revision, timeout=TIMEOUT, files_metadata=False
            )
    except UnreachableError as error:
        return _local_release(spec, error, weights=weights)
    names = [entry.rfilename for entry in info.siblings or []]
    files = _needed(spec, names, weights=weights)
    card = info.card_data.to_dict() if info.card_data else {}
    licence = str(card.get("license_name") or card.get("license") or "not stated on the hub")
    if info.gated:
        licence += "; gated: access is granted on the hub"
    total = info.safetensors.total if info.safetensors else None
    return Release(str(info.sha), files, total, licence, local_copy(spec, str(info.sha), files))


class UnreachableError(Exception):
    """The hub did not answer."""


@contextlib.contextmanager
def clear_hub_errors(spec: ModelSpec) -> Iterator[None]:
    """Turn the hub's refusals into sentences.

    Raises:
        ModelError: The hub refused.
        UnreachableError: It did not answer.
    """
    import httpx2  # what huggingface_hub speaks through; its errors are not OSErrors
    from huggingface_hub.errors import EntryNotFoundError

    try:
        yield
    except (OSError, EntryNotFoundError, httpx2.HTTPError) as error:
        refusal = _refusal(spec, error)
        if refusal is None:
            raise UnreachableError(str(error)) from error
        raise ModelError(refusal) from error


def _refusal(spec: ModelSpec, error: Exception) -> str | None:
    """Return what to tell the person, or None if the hub did not answer at all."""
    from huggingface_hub import errors

    name, page = spec.location, f"https://huggingface.co/{spec.location}"
    login = "log in with 'hf auth login' or set HF_TOKEN"
    if isinstance(error, errors.GatedRepoError):
        return f"{name} is gated: accept its terms at {page}, then {login}."
    if isinstance(error, errors.RevisionNotFoundError):
        return f"{name} has no revision {spec.revision!r}. Look at {page}/commits."
    if isinstance(error, errors.RepositoryNotFoundError):
        return f"The hub knows no model {name}, or it is private. Check the spelling, or {login}."
    if isinstance(error, errors.LocalEntryNotFoundError):
        return None
    if isinstance(error, errors.EntryNotFoundError):
        return f"{name} lacks a file that was expected: {error}"
    answer = getattr(error, "response", None)
    if answer is not None and answer.status_code in (401, 403):
        return f"The hub refuses access to {name}. Accept its terms at {page}, then {login}."
    return None


def _needed(spec: ModelSpec, names: list[str], *, weights: bool) -> tuple[str, ...]:
    """Choose the files to download from those a release has, and refuse what cannot be opened."""
    refuse_adapter(spec.location, names)
    if "config.json" not in names:
        raise ModelError(
            f"{spec.location} has no config.json on the hub. GGUF repositories: download the file "
            "and ask for gguf:/path/to/it."
        )
    if not any(name in names for name in TOKENIZER_FILES):
        raise ModelError(f"{spec.location} has no tokenizer on the hub. Choose another model.")
    names = [name for name in names if "/" not in name]
    small = [name for name in names if any(fnmatch.fnmatch(name, rule) for rule in _SMALL)]
    if not weights:
        return tuple(small)
    shards = [name for name in names if fnmatch.fnmatch(name, _SHARDS)]
    if INDEX_FILE in names and shards:
        return (*small, *sorted(shards))
    if SINGLE_FILE not in names:
        refuse_weights(spec.location, names)
    return (*small, SINGLE_FILE)


def local_copy(spec: ModelSpec, revision: str, files: tuple[str, ...]) -> Path | None:
    """Return the folder of the download cache that holds every file, or None."""
    from huggingface_hub import try_to_load_from_cache

    folder: Path | None = None
    for name in files:
        path = try_to_load_from_cache(spec.location, name, revision=revision)
        if not isinstance(path, str):
            return None
        folder = folder or Path(path).parent
    return folder


def cached_config(spec: ModelSpec) -> Path | None:
    """Return the folder with a ``config.json`` that was downloaded before; asks no network."""
    from huggingface_hub import try_to_load_from_cache

    path = try_to_load_from_cache(spec.location, "config.json", revision=spec.revision)
    return Path(path).parent if isinstance(path, str) else None


def _local_release(spec: ModelSpec, cause: Exception, *, weights: bool) -> Release:
    """Find a release in the download cache alone."""
    folder = cached_config(spec)
    names = [path.name for path in folder.iterdir()] if folder else []
    whole = SINGLE_FILE in names or INDEX_FILE in names or not weights
    if folder is None or not whole:
        raise ModelError(
            f"The hub cannot be reached and {spec.location} at {spec.revision} was not downloaded "
            "before. Connect to the network, or copy a folder with config.json, tokenizer.json and "
            "*.safetensors to this machine and ask for folder:/its/path; packaged needs no network."
        ) from cause
    files = _needed(spec, names, weights=weights)
    return Release(folder.name, files, None, "see its card on the hub", folder)


def download(spec: ModelSpec, release: Release, report: Report) -> Path:
    """Download what is missing, file by file, into the hub's own cache; return the folder.

    Raises:
        ModelError: Access is refused, or the network broke.
        Cancelled: The report asked to stop; finished files stay.
    """
    from huggingface_hub import hf_hub_download

    if release.folder is not None:
        return release.folder
    folder = Path()
    for done, name in enumerate(release.files):
        report(done, len(release.files), f"Downloading {spec.location}: {name}")
        try:
            with clear_hub_errors(spec):
                path = hf_hub_download(spec.location, name, revision=release.commit)
        except UnreachableError as error:
            raise ModelError(
                f"The download of {spec.location} stopped at {name}: the hub cannot be reached. "
                "What is there stays; try again when the network is back."
            ) from error
        folder = Path(path).parent
    return folder


def download_config(spec: ModelSpec, release: Release) -> Path:
    """Return the folder with the release's ``config.json``, downloading only that file.

    Raises:
        ModelError: Access is refused, or the network broke.
    """
    return _download_some(spec, release, ("config.json",))


def download_tokenizer(spec: ModelSpec, release: Release) -> Path:
    """Return the folder with the release's tokenizer, downloading nothing else.

    Raises:
        ModelError: Access is refused, or the network broke.
    """
    names = (*TOKENIZER_FILES, *TOKENIZER_EXTRAS)
    return _download_some(spec, release, tuple(one for one in release.files if one in names))


def _download_some(spec: ModelSpec, release: Release, files: tuple[str, ...]) -> Path:
    if release.folder is not None:
        return release.folder
    return download(spec, Release(release.commit, files, None, "", None), silent)

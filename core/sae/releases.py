"""Dictionaries by name: a spec with a text form, its files fetched from the hub at one commit."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, Literal, cast, get_args
from urllib.parse import parse_qsl, quote, unquote

from core.models import hub
from core.models.spec import ModelError, ModelSpec
from core.runtime.progress import Report, silent
from core.sae.catalogue import Published, published
from core.sae.dictionary import Dictionary, DictionaryError
from core.sae.files import LAYOUTS, load_folder
from core.sae.layouts.shared import Hints

DictionarySource = Literal["sae", "folder", "hub"]

FORMS: Final = (
    "sae:gemma-scope-2-270m-pt-res/layer_12_width_16k_l0_medium · "
    "sae:qwen-scope-3-8b-base-w64k-l50/layer12 · folder:/path · hub:owner/name/sub/folder@revision"
)
_RELEASE: Final = re.compile(r"[\w.-]+/\S+")
_PART: Final = re.compile(r"[A-Za-z0-9_][\w.:-]*")
_REVISION: Final = re.compile(r"[\w.-]+(/[\w.-]+)*")


@dataclass(frozen=True)
class DictionarySpec:
    """Which dictionary to load."""

    source: DictionarySource
    """A published release, a folder of this machine, or one of the Hugging Face hub."""

    place: str
    """``release/id``, absolute path, or ``owner/name/sub/folder``."""

    revision: str = ""
    """Branch, tag or commit; ``main`` if empty; empty for a folder."""

    k: int | None = None
    """Latents on per token, for a TopK file that does not say it."""

    def __post_init__(self) -> None:
        """Refuse what cannot mean anything, with the reason."""
        if self.source not in get_args(DictionarySource) or not self._names_a_place():
            raise DictionaryError(f"Cannot read the dictionary {str(self)!r}. Forms: {FORMS}.")
        if self.revision and (self.source == "folder" or not _REVISION.fullmatch(self.revision)):
            raise DictionaryError(
                f"{self.revision!r} is no branch, tag or commit of a dictionary on the hub."
            )
        if self.k is not None and self.k < 1:
            raise DictionaryError(f"k={self.k}: give how many latents are on, 1 or more.")

    def _names_a_place(self) -> bool:
        if self.source == "folder":
            return Path(self.place).is_absolute()
        if self.source == "sae":
            return bool(_RELEASE.fullmatch(self.place))
        parts = self.place.split("/")
        return len(parts) >= 2 and all(_PART.fullmatch(part) for part in parts)

    @classmethod
    def parse(cls, text: str) -> "DictionarySpec":
        """Read the text form, the inverse of ``str``; relative paths are made absolute.

        Raises:
            DictionaryError: The text has none of the forms, or an option is unknown.
        """
        head, _, options = text.strip().partition("?")
        source, _, place = head.partition(":")
        if source not in get_args(DictionarySource):
            raise DictionaryError(f"Cannot read the dictionary {text!r}. Forms: {FORMS}.")
        place, revision = unquote(place), ""
        if source in ("sae", "hub"):
            place, _, revision = place.partition("@")
        elif source == "folder" and place:
            place = str(Path(place).expanduser().absolute())
        asked = dict(parse_qsl(options, keep_blank_values=True))
        if set(asked) - {"k"} or not asked.get("k", "1").isdecimal():
            raise DictionaryError(
                f"Cannot read the options of {text!r}; the only one is k, as in ?k=50."
            )
        k = int(asked["k"]) if "k" in asked else None
        return cls(cast("DictionarySource", source), place, revision, k)

    def __str__(self) -> str:
        """Return the text form, read back by ``parse``."""
        place = quote(self.place, safe="/:~+,=!$'()* ")
        at = f"@{self.revision}" if self.revision else ""
        return f"{self.source}:{place}{at}" + (f"?k={self.k}" if self.k is not None else "")

    @property
    def label(self) -> str:
        """Short name for people."""
        return Path(self.place).name if self.source == "folder" else self.place


def load_dictionary(spec: DictionarySpec, report: Report = silent) -> Dictionary:
    """Load a dictionary, downloading what is not here yet; its source names the commit found.

    Raises:
        DictionaryError: Unknown, not reachable, or cannot be read (see ``load_folder``).
        Cancelled: The report asked to stop; finished files stay.
    """
    if spec.source == "folder":
        return load_folder(Path(spec.place), Hints(source=str(spec), k=spec.k))
    wanted = _wanted(spec)
    try:
        commit, path = _fetch(wanted, spec.revision or "main", report)
    except ModelError as error:  # the hub's own refusals, worded alike for whatever lies there
        raise DictionaryError(str(error)) from error
    told = replace(wanted.told, source=str(replace(spec, revision=commit)), k=spec.k)
    return load_folder(path, told)


def _wanted(spec: DictionarySpec) -> Published:
    if spec.source == "sae":
        release, _, name = spec.place.partition("/")
        return published(release, name)
    owner, name, *rest = spec.place.split("/")
    return Published(f"{owner}/{name}", "/".join(rest), Hints("/".join((name, *rest))))


def _fetch(wanted: Published, revision: str, report: Report) -> tuple[str, Path]:
    """Return the commit found and where the dictionary now lies."""
    from huggingface_hub import HfApi

    asked = ModelSpec("hub", wanted.repo, revision)
    try:
        with hub.clear_hub_errors(asked):
            info = HfApi().model_info(wanted.repo, revision=revision, timeout=hub.TIMEOUT)
    except hub.UnreachableError as error:
        return _local(wanted, revision, error)
    names = [entry.rfilename for entry in info.siblings or []]
    files, commit = _needed(wanted, names), str(info.sha)
    release = hub.Release(commit, files, None, "", hub.local_copy(asked, commit, files))
    folder = hub.download(asked, release, report)
    return commit, folder / Path(files[-1]).name


def _candidates(path: str) -> Iterator[tuple[str, ...]]:
    """Name the files that a dictionary at this place of a repository may have, weights last."""
    yield (path,)
    for layout in LAYOUTS:
        yield tuple(f"{path}/{name}" if path else name for name in layout)


def _needed(wanted: Published, names: list[str]) -> tuple[str, ...]:
    there = set(names)
    for files in _candidates(wanted.path):
        if files[-1] in there:
            return tuple(name for name in files if name in there)
    weights = {files[-1] for files in LAYOUTS}
    known = [name for name in names if Path(name).name in weights or name.endswith(".sae.pt")]
    raise DictionaryError(
        f"{wanted.repo} has no dictionary at {wanted.path or 'its root'!r}. "
        + (f"It has {len(known)}, such as {', '.join(known[:3])}." if known else "It has none.")
    )


def _local(wanted: Published, revision: str, cause: Exception) -> tuple[str, Path]:
    """Find a dictionary in the download cache alone."""
    from huggingface_hub import try_to_load_from_cache

    for *_, weights in _candidates(wanted.path):
        found = try_to_load_from_cache(wanted.repo, weights, revision=revision) if weights else None
        if isinstance(found, str):
            folder = Path(found)
            for _ in Path(weights).parts:
                folder = folder.parent
            return folder.name, Path(found)
    raise DictionaryError(
        f"The hub cannot be reached and {wanted.told.name or wanted.path or wanted.repo} was not "
        "downloaded before. Connect to the network, or copy its folder to this machine and ask for "
        "folder:/its/path."
    ) from cause

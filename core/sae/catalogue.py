"""The published dictionaries known by name, and where on the Hugging Face hub each one lies.

Gemma Scope 2 and Qwen-Scope are listed in ``data/sae-releases.toml``, under the names that SAELens
gives them. Any other name is looked up in the list of the package ``sae-lens``, where that is
installed: its file is read, its code is not imported.
"""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from core.sae.dictionary import DictionaryError
from core.sae.layouts.shared import Hints


@dataclass(frozen=True)
class Release:
    """Dictionaries of one model that were published together."""

    name: str
    """As SAELens calls it: ``gemma-scope-2-270m-pt-res``."""

    model: str
    """Hub id of the model."""

    repo: str
    """Hub id of the repository that holds the dictionaries."""

    paths: Mapping[str, str]
    """Folder or file in the repository, by the dictionary's id."""


@dataclass(frozen=True)
class Published:
    """Where one published dictionary lies, and what its files do not say."""

    repo: str
    """Hub id of the repository."""

    path: str
    """Folder or file in it; empty for its root."""

    told: Hints
    """Name, model and what else the list states."""


_FILE: Final = Path(__file__).resolve().parents[1] / "data" / "sae-releases.toml"
#: Layouts of SAELens's list that are read here; None is its own.
_READ: Final = frozenset({None, "gemma_3", "qwen_scope", "dictionary_learning_1", "sparsify"})


@cache
def releases() -> Mapping[str, Release]:
    """Return what can be loaded by name without any further package, by the release's name."""
    families = tomllib.loads(_FILE.read_text(encoding="utf-8"))["family"]
    listed = [_release(family, words) for family in families for words in family["releases"]]
    return MappingProxyType({release.name: release for release in listed})


def _release(family: Mapping[str, Any], words: Mapping[str, Any]) -> Release:
    """Fill the words of one release into what its family has in common."""
    name, model, repo = (family[key].format(**words) for key in ("name", "model", "repo"))
    layers = words["layers"]
    ids = [
        family["id"].format(layer=layer, variant=variant)
        for layer in (range(layers) if isinstance(layers, int) else layers)
        for variant in family["variants"]
    ]
    paths = {one: family["path"].format(id=one) for one in ids}
    return Release(name.lower(), model, repo, MappingProxyType(paths))


def releases_for(model_name: str) -> list[Release]:
    """List the releases of the table that belong to a model by name.

    Args:
        model_name: Hub id, or the short name that people see, such as ``gemma-3-270m (packaged)``.
    """
    short = _short(model_name.removesuffix(" (packaged)"))
    return [release for release in releases().values() if _short(release.model) == short]


def _short(model_name: str) -> str:
    return model_name.rpartition("/")[2]


def published(release: str, name: str) -> Published:
    """Find a published dictionary.

    Args:
        release: Its release, such as ``gemma-scope-2-270m-pt-res``.
        name: Its id in the release, such as ``layer_12_width_16k_l0_medium``.

    Raises:
        DictionaryError: Nobody lists it, or its layout is not read here.
    """
    known = releases().get(release)
    if known is None:
        return _from_saelens(release, name)
    if name not in known.paths:
        raise _unknown_id(release, name, list(known.paths))
    return Published(
        known.repo, known.paths[name], Hints(f"{release}/{name}", model_name=known.model)
    )


def _from_saelens(release: str, name: str) -> Published:
    entry = saelens_list().get(release)
    if not isinstance(entry, dict):
        more = "" if saelens_list() else ", and with the package sae-lens installed many more"
        raise DictionaryError(
            f"No release is called {release!r}. Known are gemma-scope-2-{{270m,1b,4b,12b,27b}}-"
            "{pt,it}-{res,res-all} and qwen-scope-..., such as "
            f"qwen-scope-3-8b-base-w64k-l50{more}. A folder of the hub loads as "
            "hub:owner/name/folder."
        )
    layout = entry.get("conversion_func")
    if layout not in _READ:
        raise DictionaryError(
            f"{release} is published in a layout that is not read here ({layout}). Load it with "
            "sae_lens, write it with sae.save_model(folder), and ask for folder:/its/path."
        )
    found = {str(one["id"]): one for one in entry["saes"]}
    if name not in found:
        raise _unknown_id(release, name, list(found))
    told = Hints(
        f"{release}/{name}",
        model_name=str(entry["model"]),
        scale=found[name].get("norm_scaling_factor"),
        config=entry.get("config_overrides") or {},
    )
    return Published(str(entry["repo_id"]), str(found[name]["path"]).strip("/"), told)


def _unknown_id(release: str, name: str, known: list[str]) -> DictionaryError:
    return DictionaryError(
        f"{release} has no dictionary {name!r}. It has {len(known)}, such as "
        f"{', '.join(known[:4])}."
    )


@cache
def saelens_list() -> Mapping[str, Any]:
    """Return what the package ``sae-lens`` lists, by release; empty where it is not installed."""
    import yaml

    try:
        path = Path(str(distribution("sae-lens").locate_file("sae_lens/pretrained_saes.yaml")))
        text = path.read_text(encoding="utf-8")
    except (PackageNotFoundError, OSError):
        return {}
    loaded = yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    return loaded if isinstance(loaded, dict) else {}

"""The published dictionaries known by name, and where on the Hugging Face hub each one lies.

Gemma Scope 2 and Qwen-Scope are listed here, under the names that SAELens gives them. Any other
name is looked up in the list of the package ``sae-lens``, where that is installed: its file is
read, its code is not imported.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from core.sae.dictionary import DictionaryError
from core.sae.layouts import Told


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

    told: Told
    """Name, model and what else the list states."""


_HALF_WAY_LAYERS: Final = {
    "270m": (18, (5, 9, 12, 15)),
    "1b": (26, (7, 13, 17, 22)),
    "4b": (34, (9, 17, 22, 29)),
    "12b": (48, (12, 24, 31, 41)),
    "27b": (62, (16, 31, 40, 53)),
}
_WIDTHS: Final = ("16k", "65k", "262k", "1m")
_QWEN: Final = (
    ("Qwen3-1.7B-Base", 28, ("W32K-L0_50", "W32K-L0_100")),
    ("Qwen3-8B-Base", 36, ("W64K-L0_50", "W64K-L0_100")),
    ("Qwen3-30B-A3B-Base", 48, ("W32K-L0_50", "W128K-L0_100")),
    ("Qwen3.5-2B-Base", 24, ("W32K-L0_50", "W32K-L0_100")),
    ("Qwen3.5-9B-Base", 32, ("W64K-L0_50", "W64K-L0_100")),
    ("Qwen3.5-27B", 64, ("W80K-L0_50", "W80K-L0_100")),
    ("Qwen3.5-35B-A3B-Base", 40, ("W32K-L0_50", "W128K-L0_100")),
)
#: Layouts of SAELens's list that are read here; None is its own.
_READ: Final = frozenset({None, "gemma_3", "qwen_scope"})


def _gemma_releases() -> Iterator[Release]:
    for size, (n_layers, some) in _HALF_WAY_LAYERS.items():
        for kind in ("pt", "it"):
            repo = f"gemma-scope-2-{size}-{kind}"
            # The one base model whose name has no suffix.
            model = f"google/gemma-3-{size}" + (
                "" if (size, kind) == ("270m", "pt") else f"-{kind}"
            )
            fine = [f"{width}_l0_{l0}" for width in _WIDTHS for l0 in ("small", "medium", "big")]
            fine.append("262k_l0_medium_seed_1")
            coarse = [f"{width}_l0_{l0}" for width in ("16k", "262k") for l0 in ("small", "big")]
            for suffix, folder, layers, kinds in (
                ("res", "resid_post", some, fine),
                ("res-all", "resid_post_all", tuple(range(n_layers)), coarse),
            ):
                ids = [f"layer_{layer}_width_{rest}" for layer in layers for rest in kinds]
                paths = MappingProxyType({name: f"{folder}/{name}" for name in ids})
                yield Release(f"{repo}-{suffix}", model, f"google/{repo}", paths)


def _qwen_releases() -> Iterator[Release]:
    for model, n_layers, variants in _QWEN:
        paths = MappingProxyType({f"layer{n}": f"layer{n}.sae.pt" for n in range(n_layers)})
        for variant in variants:
            name = f"{model.removeprefix('Qwen')}-{variant.replace('L0_', 'L')}".lower()
            repo = f"Qwen/SAE-Res-{model}-{variant}"
            yield Release(f"qwen-scope-{name}", f"Qwen/{model}", repo, paths)


#: What can be loaded by name without any further package.
RELEASES: Final[Mapping[str, Release]] = MappingProxyType(
    {release.name: release for release in (*_gemma_releases(), *_qwen_releases())}
)


def releases_for(model_name: str) -> list[Release]:
    """List the releases of this table that belong to a model by name.

    Args:
        model_name: Hub id, or the short name that people see, such as ``gemma-3-270m (packaged)``.
    """
    short = _short(model_name.removesuffix(" (packaged)"))
    return [release for release in RELEASES.values() if _short(release.model) == short]


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
    known = RELEASES.get(release)
    if known is None:
        return _from_saelens(release, name)
    if name not in known.paths:
        raise _unknown_id(release, name, list(known.paths))
    return Published(
        known.repo, known.paths[name], Told(f"{release}/{name}", model_name=known.model)
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
    told = Told(
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

"""Packs: one model's reading of one set, to be opened on a machine without the model.

What is opened lies under an identity of its own (``pack:<sha256>``), never under the model's: a
pack cannot pass for what this machine has read itself.
"""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final, NamedTuple

from core.activations.extraction import open_states
from core.activations.prompts import ReadSpec
from core.activations.study import Study, open_study
from core.dataset import sets
from core.dataset.items import Items, content_digest
from core.diagnosis import leaderboard_rows
from core.diagnosis.diagnosis import BASELINES, Diagnosis, DiagnosisSpec, four_tests
from core.diagnosis.receipt import receipt
from core.leaderboard.pack_file import (
    Pack,
    PackError,
    extract,
    folders,
    open_pack,
    read_json,
    write_pack,
)
from core.models.card import PACK_KIND, ModelCard, describe, packed_record
from core.models.spec import ModelSpec
from core.runtime.progress import Report, silent
from core.runtime.store import KEY_FILE, Artefact, Store, library_version

_MEASURED: Final = ("layout", "evidence", "diagnosis", "waterfall")
#: Words of a licence that do not let others have the texts.
_FORBIDS: Final = re.compile(
    r"\bND\b|no.?deriv|all rights reserved|proprietary|confidential|no(t for)? redistribut"
    r"|do not (re)?distribut|research use only",
    re.IGNORECASE,
)
_UNSTATED: Final = "not stated"


class Packed(NamedTuple):
    """What became of a pack that was made or opened."""

    spec: ModelSpec
    """How the packed model is asked for."""

    set_name: str
    """Digest of its items, as sets are named."""

    told: tuple[str, ...]
    """What a person should know: licence, notes."""

    new: bool
    """False if it was opened before."""


# --- making ---


def pack(
    store: Store, study: Study, copy: Study | None, path: Path, report: Report = silent
) -> Packed:
    """Write everything that was read and measured of a study into one file.

    Args:
        store: Where it lies.
        study: Items as a model reads them.
        copy: The same of its untrained copy, of which only figures are packed; None: left out.
        path: Where to; ``.moralscope`` is the usual ending.
        report: Told what is being done.

    Raises:
        PackError: The licence of the items forbids it, the model is itself packed, or the file
            cannot be written.
        CoreError: The model has not read the items.
    """
    told = check_licence(study.items)
    if study.card.spec.source == "pack":
        raise PackError(f"{study.card.name} is a pack already: pass its own file on.")
    if open_states(store, study.plan) is None:
        raise PackError(
            f"{study.card.name} has not read {study.items.provenance.name} yet, so there is "
            "nothing to pack. Read and diagnose it first: python -m core diagnose."
        )
    report(0, 2, "looking for what belongs to it")
    artefacts = _belonging(store, study, copy)
    facts = {
        "model": _card_record(study.card),
        "untrained": None if copy is None else _card_record(copy.card),
        "items": {**asdict(study.items.provenance), "digest": study.items.digest},
        "read": asdict(study.plan.spec),
        "diagnoses": [asdict(spec) for spec in _specs(store, study, artefacts)],
        "receipts": _without_place(study.card, _receipts(store, study, copy, artefacts)),
    }
    files = {
        f"{one.kind}/{one.digest}/{file.name}": file
        for one in artefacts
        for file in sorted((store.root / one.kind / one.digest).iterdir())
    }
    report(1, 2, f"writing {len(files):,} files")
    write_pack(path, facts, files)
    return Packed(_spec_of(open_pack(path)), study.items.digest, told, new=True)


def check_licence(items: Items) -> tuple[str, ...]:
    """Return what the licence of a set asks of whoever passes it on.

    Raises:
        PackError: The licence forbids that others get the texts.
    """
    source = items.provenance
    if _FORBIDS.search(source.licence):
        raise PackError(
            f"The licence of {source.name} ({source.licence}) does not let its texts be passed on, "
            "and a pack holds them. Pack another set."
        )
    told = [f"Licence of {source.name}: {source.licence}. It travels with the pack."]
    if source.licence == _UNSTATED:
        told = [
            f"The licence of {source.name} is not stated. The pack holds its texts: publish it "
            "only if they are yours to publish."
        ]
    return (*told, *(text for text in (source.citation, source.note) if text))


def _belonging(store: Store, study: Study, copy: Study | None) -> list[Artefact]:
    """Return the artefacts of a study: items, states, and all that was measured from them."""
    digests = {store.folder("acts", key).name for key in _state_keys(study)}
    found = [one for one in store.artefacts("acts") if one.digest in digests]
    found += [
        entry.artefact for entry in sets.stored_sets(store) if entry.digest == study.items.digest
    ][:1]
    plans = [one.plan.base_key() for one in (study, copy) if one is not None]
    for kind in _MEASURED:
        for one in store.artefacts(kind):
            if _rests_on(one.key, plans) or _is_baseline(one.key, study):
                found.append(one)
    return sorted(found, key=lambda one: (one.kind, one.digest))


def _state_keys(study: Study) -> Iterable[dict[str, Any]]:
    for layer in study.plan.layers:
        for pooling in study.plan.spec.poolings:
            yield study.plan.key(layer, pooling)


def _rests_on(key: Any, plans: list[dict[str, Any]]) -> bool:
    """Tell whether a key names the states of one of some plans, at any depth."""
    if not isinstance(key, Mapping):
        return False
    if any(all(key.get(name) == value for name, value in plan.items()) for plan in plans):
        return True
    return any(_rests_on(value, plans) for value in key.values())


def _is_baseline(key: Mapping[str, Any], study: Study) -> bool:
    mine = (key.get("prompts"), key.get("items")) == (study.plan.digest, study.items.digest)
    return mine and "pack" not in key  # another pack's


def _specs(store: Store, study: Study, artefacts: list[Artefact]) -> list[DiagnosisSpec]:
    """Return the settings with which the study was diagnosed in full."""
    asked = set()
    for one in artefacts:
        states = one.key.get("states")
        if one.kind == "diagnosis" and "scaling" in one.key and isinstance(states, Mapping):
            names = ("draws", "shuffles", "seed", "scaling")
            rest = {name: one.key[name] for name in names}
            asked.add(DiagnosisSpec(pooling=states["pooling"], **rest))
    return [spec for spec in sorted(asked, key=repr) if four_tests(store, study, spec).has()]


def _receipts(
    store: Store, study: Study, copy: Study | None, artefacts: list[Artefact]
) -> list[dict[str, Any]]:
    """Return a receipt of each diagnosis, the untrained copy's among them."""
    found = []
    for spec in _specs(store, study, artefacts):
        own = four_tests(store, study, spec).open()
        other: Diagnosis | None = None
        if copy is not None and four_tests(store, copy, spec).has():
            other = four_tests(store, copy, spec).open()
        if own is not None:
            found.append(receipt(own, other))
        if other is not None:
            found.append(receipt(other))
    return found


def _without_place(card: ModelCard, value: Any) -> Any:
    """Return JSON values without the folder of this machine: it is nobody's business."""
    if card.spec.source not in ("folder", "gguf"):
        return value
    place = card.spec.location
    if isinstance(value, str):
        return value.replace(place, Path(place).name)
    if isinstance(value, Mapping):
        return {name: _without_place(card, one) for name, one in value.items()}
    return [_without_place(card, one) for one in value] if isinstance(value, list) else value


def _card_record(card: ModelCard) -> dict[str, Any]:
    """Return what a card says that holds on every machine."""
    record = {
        name: getattr(card, name)
        for name in (
            "identity", "name", "architecture", "n_layers", "d_model", "vocabulary",
            "n_parameters", "weight_bytes", "device", "dtype", "licence", "commit",
        )
    }  # fmt: skip
    return record | {"spec": _without_place(card, str(card.spec))}


# --- opening ---


def unpack(store: Store, path: Path, report: Report = silent) -> Packed:
    """Check a pack and take it into the store; no model package is loaded.

    Raises:
        PackError: It is no pack, damaged, from a newer version, or its content is not what its
            manifest says.
    """
    report(0, 3, "checking every hash")
    found = open_pack(path)
    spec = _spec_of(found)
    key = _pack_key(found.sha256)
    report(1, 3, "taking out the items")
    items = _take_items(store, found)
    told = told_of(found.manifest["items"])
    if store.has(PACK_KIND, key):
        return Packed(spec, items.digest, told, new=False)
    report(2, 3, "taking out states, maps and figures")
    for folder, names in folders(found).items():
        if not folder.startswith("items/"):
            _take(store, found, folder, names)
    with store.writing(PACK_KIND, key) as target:
        (target / "manifest.json").write_text(json.dumps(dict(found.manifest)), encoding="utf-8")
    _keep_standings(store, found, spec, items)
    return Packed(spec, items.digest, told, new=True)


def opened_packs(store: Store) -> list[ModelSpec]:
    """List the packs that were opened here, the newest first."""
    return [spec for one in store.artefacts(PACK_KIND) if (spec := _spec_at(store, one))]


def original_identity(store: Store, card: ModelCard) -> str:
    """Return the identity of the model that an opened pack says it was made of.

    Raises:
        PackError: The pack is not open any more.
    """
    folder = store.open(PACK_KIND, _pack_key(card.identity.split(":")[1]))
    if folder is None:
        raise PackError(f"The pack of {card.name} is not open any more. Open its file again.")
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    return str(manifest["model"]["identity"])


def _spec_at(store: Store, one: Artefact) -> ModelSpec | None:
    folder = store.open(PACK_KIND, one.key)
    if folder is None:
        return None
    name = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))["model"]["name"]
    return _spec(name, one.key["pack"])


def _spec(name: str, sha256: str) -> ModelSpec:
    safe = re.sub(r"[^A-Za-z0-9_-]+", "-", name).strip("-")[:60].strip("-")
    return ModelSpec("pack", f"{safe or 'model'}.{sha256[:12]}")


def told_of(source: Mapping[str, Any]) -> tuple[str, ...]:
    """Return licence, citation and note of packed items."""
    told = (
        f"Licence of {source['name']}: {source['licence']}.",
        source["citation"],
        source["note"],
    )
    return tuple(text for text in told if text)


def _pack_key(sha256: str) -> dict[str, Any]:
    libraries = ("torch", "transformers", "nnsight", "numpy", "scikit-learn")
    return {"pack": sha256, "versions": {name: library_version(name) for name in libraries}}


def _spec_of(found: Pack) -> ModelSpec:
    try:
        return _spec(packed_record(found.manifest["model"])["name"], found.sha256)
    except (KeyError, TypeError, AttributeError) as error:
        raise PackError(f"{found.path.name} does not describe its model ({error}).") from error


def _take_items(store: Store, found: Pack) -> Items:
    """Store the items unless they are here, and check that they are those of the manifest."""
    claimed = found.manifest.get("items", {}).get("digest", "")
    known = [one for one in sets.stored_sets(store) if one.digest == claimed]
    if known:
        return sets.open_set(store, claimed)
    for folder, names in folders(found).items():
        if folder.startswith("items/"):
            key = read_json(found, f"{folder}/{KEY_FILE}")["key"]
            _copy(store, found, folder, names, "items", key)
    items = sets.open_set(store, claimed)
    if content_digest(items.table) != claimed:
        for one in sets.stored_sets(store):
            if one.digest == claimed:
                store.delete(one.artefact)
        raise PackError(
            f"{found.path.name} was not opened: its items are not those that its manifest names."
        )
    return items


def _take(store: Store, found: Pack, folder: str, names: list[str]) -> None:
    record = read_json(found, f"{folder}/{KEY_FILE}")
    if not isinstance(record, dict) or not isinstance(record.get("key"), dict):
        raise PackError(f"{found.path.name}: {folder}/{KEY_FILE} holds no key.")
    key = _own_key(record["key"], _renamed(found), found.sha256)
    _copy(store, found, folder, names, folder.partition("/")[0], key)


def _copy(
    store: Store, found: Pack, folder: str, names: list[str], kind: str, key: dict[str, Any]
) -> None:
    if store.has(kind, key):
        return
    with store.writing(kind, key) as target:
        for name in names:
            if name != KEY_FILE:
                extract(found, f"{folder}/{name}", target / name)


def _renamed(found: Pack) -> dict[str, str]:
    """Return the identities of the packed models -> those under which they lie here."""
    own, copy = found.manifest["model"], found.manifest.get("untrained")
    names = {own["identity"]: f"pack:{found.sha256}"}
    return names | ({copy["identity"]: f"pack:{found.sha256}:untrained"} if copy else {})


def _own_key(key: Mapping[str, Any], names: Mapping[str, str], sha256: str) -> dict[str, Any]:
    """Return an artefact's key under the pack's identity.

    The versions become those of this machine, as whoever asks for the artefact names these; what
    made it is told by the pack's receipts, and the pack's hash fixes its content.
    """
    renamed: dict[str, Any] = _translated(key, names)
    if key.get("states") in BASELINES:  # a baseline names no model
        renamed["pack"] = sha256
    return renamed


def _translated(value: Any, names: Mapping[str, str]) -> Any:
    if isinstance(value, Mapping):
        return {
            name: {one: library_version(one) for one in inner}
            if name == "versions"
            else _translated(inner, names)
            for name, inner in value.items()
        }
    if isinstance(value, list):
        return [_translated(one, names) for one in value]
    return names.get(value, value) if isinstance(value, str) else value


def _keep_standings(store: Store, found: Pack, spec: ModelSpec, items: Items) -> None:
    """Put the packed model onto the leaderboard."""
    read = found.manifest["read"]
    how = ReadSpec(**read | {"poolings": tuple(read["poolings"])})
    study = open_study(items, describe(spec, store), how)
    copy = None
    if found.manifest.get("untrained"):
        copy = open_study(items, describe(spec.untrained(), store), how)
    for one in found.manifest["diagnoses"]:
        leaderboard_rows.keep_study(store, study, copy, DiagnosisSpec(**one))

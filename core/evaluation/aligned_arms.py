"""Arms of what alignment trained for this model, where it is kept here, beside its control."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Final

from core.activations.study import Study
from core.evaluation.answers import Arm
from core.evaluation.spec import push_recipe
from core.runtime.store import Artefact, Store
from core.sae import patches
from core.sae.dictionary import DictionaryError
from core.steering.aligned import aligned_axis, aligned_of
from core.steering.recipes import Operation, Term

ALIGNED: Final = "aligned"
REPLACED: Final = "aligned, replaced"
SHUFFLED: Final = "shuffled vectors"
SHUFFLED_REPLACED: Final = "shuffled vectors, replaced"
#: What alignment calls them -> the arms of what it adds, and of its reconstruction put in place.
_ARMS: Final[dict[str, tuple[tuple[str, Operation], ...]]] = {
    "repaired": ((ALIGNED, "align"), (REPLACED, "replace")),
    "shuffled": ((SHUFFLED, "align"), (SHUFFLED_REPLACED, "replace")),
}


def aligned_arms(store: Store, study: Study) -> tuple[Arm, ...]:
    """Return the arms of the newest alignment of a model that is kept, none where there is none.

    Each comes twice: what it changed is added, so the error of the reconstruction stays out, or its
    whole reconstruction takes the place of the state. What was trained on vectors dealt out anew is
    the control, if it is kept.

    Args:
        store: Where they lie.
        study: The model; the set gives the unit of a dose.
    """
    kept = [one for one in store.artefacts(patches.KIND) if _is_of(one, study)]
    repaired = [one for one in kept if one.key["arm"] == "repaired"]
    several = {one.digest: [one, *_controls(one, kept)] for one in repaired}
    # The newest with a control goes before a newer one without: an objective was only tried there.
    with_one = [some for some in several.values() if len(some) > 1]
    for some in (*with_one, *several.values()):
        found = [arm for one in some for arm in _both(store, study, one)]
        if found:
            return tuple(found)
    return ()


def _controls(one: Artefact, kept: list[Artefact]) -> list[Artefact]:
    """Return what was trained alike but on vectors dealt out anew."""
    wanted = {**one.key, "arm": "shuffled"}
    return [each for each in kept if each.key == wanted]


def _is_of(one: Artefact, study: Study) -> bool:
    return (
        one.key.get("model") == study.card.identity
        and one.key.get("arm") in _ARMS
        and (not one.key.get("without"))
    )


def _both(store: Store, study: Study, one: Artefact) -> Iterator[Arm]:
    digests = patches.digests_of(store.root / patches.KIND / one.digest)
    if digests is None:
        return
    try:
        after, before = aligned_of(store, study.card, "aligned:{}:{}".format(*digests))
    except DictionaryError:  # what it was before is not at hand any more
        return
    term = Term(aligned_axis(after, before), 1.0)
    for name, operation in _ARMS[one.key["arm"]]:
        recipe = push_recipe(study, after.info.layer)
        yield Arm(name, replace(recipe, terms=(term,), operation=operation))

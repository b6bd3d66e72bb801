"""What pages share of core: one workbench per process, and what is kept, opened once.

``st.cache_*`` is called here, in the other rooms of ``shared`` and in each page's ``results``,
nowhere else. Everything cached is immutable or guarded by its own lock. What large arguments are
known by is in ``NAMES``.
"""

from collections.abc import Callable
from dataclasses import asdict
from typing import Any, Final, TypeVar

import streamlit as st

from core.activations import jobs as activations_jobs
from core.activations.prompts import ReadSpec
from core.activations.study import Study
from core.dataset.items import Items
from core.diagnosis.diagnosis import Diagnosis
from core.features.jobs import MoralLatents
from core.models.spec import ModelSpec
from core.runtime.made import Made
from core.runtime.store import fingerprint
from core.sae.dictionary import Dictionary
from core.sae.shelf import Shelved
from core.steering.history import Run
from core.workbench import Workbench

T = TypeVar("T")


def _study(study: Study) -> str:
    return fingerprint({**study.plan.base_key(), "items": study.items.digest})


#: Type of an argument -> what it is known by, for all that pages keep.
NAMES: Final[dict[str | type, Callable[[Any], Any]]] = {
    Study: _study,
    Made: lambda made: made.name,
    Dictionary: lambda dictionary: dictionary.digest,
    Shelved: lambda shelved: shelved.digest,
    MoralLatents: lambda found: found.scores.spec,
    Diagnosis: lambda found: (_study(found.study), asdict(found.spec)),
    Run: lambda run: run.name,
}


class _GoneError(Exception):
    """What was there a moment ago is not there any more."""


@st.cache_resource(show_spinner=False)
def workbench() -> Workbench:
    """Return the process's workbench."""
    return Workbench.at()


@st.cache_resource(show_spinner="Opening the items …", max_entries=8)
def items(name: str) -> Items:
    """Return a set of items by name."""
    return workbench().items(name)


@st.cache_resource(show_spinner="Looking at the model …", max_entries=16)
def study(set_name: str, model: str, read: ReadSpec) -> Study:
    """Return the study of a set and a model."""
    return activations_jobs.study_of(workbench(), items(set_name), ModelSpec.parse(model), read)


@st.cache_resource(show_spinner=False, max_entries=32, hash_funcs=NAMES)
def untrained(study: Study, seed: int = 0) -> Study | None:
    """Return the study of an untrained copy of a model; None if it is one itself."""
    return activations_jobs.untrained(workbench(), study, seed)


def opened(made: Made[T]) -> T | None:
    """Return what is kept, opened once for all visitors; None while it is not made."""
    if not made.has():
        return None
    try:
        found: T = _opened(made)
    except _GoneError:  # deleted, or damaged and set aside, since it was looked for
        return None
    return found


@st.cache_resource(show_spinner="Opening what is kept …", max_entries=32, hash_funcs=NAMES)
def _opened(made: Made[Any]) -> Any:
    found = made.open()
    if found is None:
        raise _GoneError
    return found

"""This browser session's writing: who it is, its latest job, a new one."""

from uuid import uuid4

import streamlit as st

from core.activations.study import Study
from core.runtime.runner import Job
from core.steering import jobs as steering_jobs
from core.steering.recipes import Recipe
from core.steering.run import Live
from pages.shared.bench import workbench


def owner() -> str:
    """Return who this browser session is: its texts are nobody else's."""
    return str(st.session_state.setdefault("owner", uuid4().hex))


def job() -> Job | None:
    """Return this session's latest writing."""
    return workbench().runner.get(steering_jobs.write_key(owner()))


def start(study: Study, recipe: Recipe, prompt: str, parent: str = "") -> None:
    """Start writing; the run that was shown makes room."""
    steering_jobs.write(workbench(), study, Live(recipe, prompt, parent), owner())
    st.session_state.pop("run", None)

"""The server's entry: what it sets before Streamlit runs the first script."""

import subprocess
import sys
from pathlib import Path

import pytest

CHECK = """
import sys
import app
from streamlit.runtime.scriptrunner.exec_code import modified_sys_path

before = list(sys.path)
with modified_sys_path(str(app.ROUTER)):
    during = list(sys.path)
assert app.ROUTER.is_file()
assert during == before == sys.path, "sys.path moves while jobs import"
"""


def test_a_script_run_leaves_sys_path_alone():
    root = Path(__file__).resolve().parent.parent
    done = subprocess.run(
        [sys.executable, "-c", CHECK], cwd=root, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


WARM = """
import app
app.warm_up()
import numpy as np
from numba.core.event import install_recorder
from core.maps.projection import LayoutSpec, project

states = np.random.default_rng(0).normal(size=(300, 40))
with install_recorder("numba:compile") as told:
    project(states, LayoutSpec("umap"))
    project(states[:, :10], LayoutSpec("umap", 3), metric="euclidean", anchor=states[:, :3])
assert not told.buffer, "the first UMAP waits for its compilation"
"""


@pytest.mark.slow
def test_the_first_umap_finds_all_compiled_that_it_runs():
    root = Path(__file__).resolve().parent.parent
    done = subprocess.run(
        [sys.executable, "-c", WARM], cwd=root, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr

"""The server's entry: what it sets before Streamlit runs the first script."""

import subprocess
import sys
from pathlib import Path

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

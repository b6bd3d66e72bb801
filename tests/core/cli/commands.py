"""What tests of commands share: one way to run them, and looks at what they said."""

import subprocess
import sys
from pathlib import Path

from core.__main__ import main

REPO = Path(__file__).resolve().parents[3]


def call(*words: object) -> int:
    """Run a command in this process and return its status."""
    return main([str(word) for word in words])


def python(*words: str, **options) -> subprocess.Popen:
    """Start a Python process in the repository; both of its streams can be read."""
    return subprocess.Popen(
        [sys.executable, *words],
        cwd=REPO,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **options,
    )


def no_weights(*_):
    """Stand in for ``Shelf.get`` where nothing may be read."""
    raise AssertionError("the weights must not be opened")


def value_of(out: str, name: str) -> str:
    """Return what stands behind a name in a list of facts."""
    return next(
        line.removeprefix(name).strip() for line in out.splitlines() if line.startswith(f"{name} ")
    )

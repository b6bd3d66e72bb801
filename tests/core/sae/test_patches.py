"""A few changed latents of a dictionary: kept small, opened whole, refused where they misfit."""

import numpy as np
import pytest
import torch

from core.models.card import describe
from core.sae.dictionary import DictionaryError
from core.sae.patches import KIND, WEIGHTS, Patch, digests_of, open_patch, save_patch
from core.sae.shelf import keep_dictionary, open_dictionary
from tests.core.sae.saesets import made_dictionary


def changed(base, latents=(3, 9)):
    patch = Patch.of(base, np.array(latents))
    return Patch(patch.latents, patch.w_enc + 1, patch.b_enc - 1, patch.w_dec * 2)


def test_a_patch_changes_its_latents_only_and_comes_back_bit_for_bit(tmp_path):
    base = made_dictionary()
    patch = changed(base)
    after = patch.applied(base, "after", {"why": "a test"})
    assert (after.info.name, after.info.training["why"]) == ("after", "a test")
    assert torch.equal(after.w_dec[[3, 9]], 2 * base.w_dec[[3, 9]])
    others = [row for row in range(64) if row not in (3, 9)]
    assert torch.equal(after.w_enc[:, others], base.w_enc[:, others])
    save_patch(patch, after, base, tmp_path)
    again = open_patch(tmp_path, base)
    assert again is not None
    assert again.digest == after.digest != base.digest
    assert digests_of(tmp_path) == (after.digest, base.digest)


def test_what_does_not_fit_or_is_damaged_is_no_patch(tmp_path):
    base = made_dictionary()
    patch = changed(base)
    after = patch.applied(base, "after", {})
    save_patch(patch, after, base, tmp_path)
    assert open_patch(tmp_path, made_dictionary(seed=1)) is None
    (tmp_path / "patch.safetensors").write_bytes(b"no tensor")
    assert open_patch(tmp_path, base) is None
    (tmp_path / "patch.json").write_text("{")
    assert digests_of(tmp_path) is None
    with pytest.raises(DictionaryError, match="does not have"):
        changed(base, (3, 9)).applied(made_dictionary(8), "after", {})
    broken = changed(base)
    broken.w_dec[0, 0] = float("nan")
    with pytest.raises(DictionaryError, match="not finite"):
        broken.applied(base, "after", {})


def test_a_recipe_finds_a_patched_dictionary_by_its_digest(store, llama_spec):
    llama_card = describe(llama_spec, store)
    base = made_dictionary(model=llama_card.identity)
    keep_dictionary(store, base, llama_card)
    patch = changed(base)
    after = patch.applied(base, "after", {})
    with store.writing(KIND, {"model": llama_card.identity, "arm": "repaired"}) as folder:
        save_patch(patch, after, base, folder)
    assert open_dictionary(store, llama_card, after.digest[:16]).digest == after.digest
    with pytest.raises(DictionaryError, match="not at hand"):
        open_dictionary(store, llama_card, "0" * 16)


def test_a_patched_dictionary_is_put_together_once_until_it_changes(store, llama_spec):
    llama_card = describe(llama_spec, store)
    base = made_dictionary(model=llama_card.identity)
    keep_dictionary(store, base, llama_card)
    key = {"model": llama_card.identity, "arm": "repaired"}
    after = changed(base).applied(base, "after", {})
    with store.writing(KIND, key) as folder:
        save_patch(changed(base), after, base, folder)
    once = open_dictionary(store, llama_card, after.digest)
    assert open_dictionary(store, llama_card, after.digest) is once
    (store.folder(KIND, key) / WEIGHTS).write_bytes(b"no tensor")
    with pytest.raises(DictionaryError, match="not at hand"):
        open_dictionary(store, llama_card, after.digest)
    (store.folder(KIND, key) / WEIGHTS).unlink()
    with pytest.raises(DictionaryError, match="not at hand"):
        open_dictionary(store, llama_card, after.digest)

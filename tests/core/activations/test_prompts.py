"""From text to tokens: what is stripped, what a long prompt keeps, what is padded and pooled."""

import time

import numpy as np
import pytest
import torch

from core import CoreError
from core.activations.prompts import (
    KEPT_END,
    PLAIN_TURN,
    PRESETS,
    TEMPLATES,
    ReadSpec,
    batches,
    chat_turn,
    collate,
    encode,
    pooling_masks,
)
from core.models.open_models import describe, open_model
from core.runtime.store import Store


@pytest.fixture(scope="module")
def llama(tiny_llama_folder, tmp_path_factory):
    from core.models.open_models import ModelSpec

    store = Store(tmp_path_factory.mktemp("store"))
    return open_model(
        describe(ModelSpec("folder", str(tiny_llama_folder), device="cpu"), store), store
    )


@pytest.fixture(scope="module")
def gpt2(tiny_gpt2_folder, tmp_path_factory):
    from core.models.open_models import ModelSpec

    store = Store(tmp_path_factory.mktemp("store"))
    return open_model(
        describe(ModelSpec("folder", str(tiny_gpt2_folder), device="cpu"), store), store
    )


# The template -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "prompt"),
    [
        ("helping a friend", "helping a friend is morally"),
        ("helping a friend.", "helping a friend is morally"),
        ("helping a friend ?!… \n", "helping a friend is morally"),
        ("帮助朋友。", "帮助朋友 is morally"),
        ("Mr. Smith, at 3:30, lies", "Mr. Smith, at 3:30, lies is morally"),
        ('saying "no"', 'saying "no" is morally'),
        ("...why not", "...why not is morally"),
        ("?!", " is morally"),
        ("", " is morally"),
        ("a {action} b", "a {action} b is morally"),
    ],
)
def test_final_punctuation_is_stripped_before_the_text_enters_the_template(text, prompt):
    assert ReadSpec().prompt(text) == prompt


def test_stripping_can_be_switched_off_and_the_template_changed():
    spec = ReadSpec(template="Is it right: {action}?", strip=False)
    assert spec.prompt("to lie. ") == "Is it right: to lie. ?"


def test_the_papers_preset_keeps_punctuation_and_every_token():
    paper = PRESETS["paper"]
    assert paper.prompt("lying.") == "lying. is morally"
    assert paper.poolings[:2] == ("mean_all", "last")


@pytest.mark.parametrize("filler", [" ", ".", ". "])
def test_a_megabyte_of_blanks_or_dots_is_stripped_in_no_time(filler):
    begin = time.thread_time()  # a busy machine is not to blame
    text = filler * 500_000 + "x" + filler * 500_000
    assert ReadSpec().prompt(text) == filler * 500_000 + "x is morally"
    assert time.thread_time() - begin < 2


@pytest.mark.parametrize("template", ["is morally", "{action} and {action}", "", "{Action}"])
def test_a_template_without_exactly_one_place_for_the_text_is_refused(template):
    with pytest.raises(CoreError, match=r"exactly once, for instance '\{action\} is morally'"):
        ReadSpec(template=template)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"dtype": "float16"}, "float16"),
        ({"poolings": ()}, "poolings"),
        ({"poolings": ("median",)}, "median"),
        ({"max_tokens": KEPT_END}, "max_tokens"),
    ],
)
def test_what_cannot_be_read_or_stored_is_refused(wrong, message):
    with pytest.raises(ValueError, match=message):
        ReadSpec(**wrong)


# Tokens -----------------------------------------------------------------------------------------


def test_prompts_are_tokenised_as_the_models_own_tokenizer_does(llama, gpt2):
    for model in (llama, gpt2):
        assert encode(model, ["one", "a longer one"], 256) == [
            model.tokenizer("one")["input_ids"],
            model.tokenizer("a longer one")["input_ids"],
        ]
    assert encode(llama, ["one"], 256)[0][0] == llama.tokenizer.bos_token_id


def test_a_long_prompt_keeps_its_beginning_and_its_end(llama):
    whole = llama.tokenizer("stealing " * 200 + "is morally")["input_ids"]
    [ids] = encode(llama, ["stealing " * 200 + "is morally"], 40)
    assert len(ids) == 40
    assert ids == whole[: 40 - KEPT_END] + whole[-KEPT_END:]
    assert ids[0] == llama.tokenizer.bos_token_id
    assert llama.tokenizer.decode(ids).endswith("is morally")


def test_a_prompt_of_just_the_limit_is_whole(llama):
    whole = llama.tokenizer("lying " * 20)["input_ids"]
    assert encode(llama, ["lying " * 20], len(whole)) == [whole]
    assert len(encode(llama, ["lying " * 20], len(whole) - 1)[0]) == len(whole) - 1


def test_a_prompt_without_any_token_is_refused_with_the_reason(gpt2):
    with pytest.raises(CoreError, match="gives no token to tiny-gpt2"):
        encode(gpt2, ["fine", ""], 256)


# Batches ----------------------------------------------------------------------------------------


def test_every_row_is_in_one_batch_and_no_batch_exceeds_its_budget():
    lengths = np.random.default_rng(0).integers(3, 40, 500).tolist()
    cut = list(batches(lengths, 200))
    assert sorted(row for batch in cut for row in batch) == list(range(500))
    assert max(len(batch) * max(lengths[row] for row in batch) for batch in cut) <= 200
    assert all(len(batch) > 1 for batch in cut)


def test_rows_come_by_growing_length_so_that_little_is_padded():
    lengths = np.random.default_rng(0).integers(3, 40, 500).tolist()
    order = [lengths[row] for batch in batches(lengths, 400) for row in batch]
    assert order == sorted(lengths)
    padded = sum(len(b) * max(lengths[row] for row in b) for b in batches(lengths, 400))
    assert padded < 1.1 * sum(lengths)


def test_a_prompt_longer_than_the_budget_goes_alone():
    assert list(batches([5, 100, 6, 200], 50)) == [[0, 2], [1], [3]]


def test_batches_are_the_same_every_time_and_none_come_of_nothing():
    assert list(batches([2, 1, 2, 1], 4)) == list(batches([2, 1, 2, 1], 4)) == [[1, 3], [0, 2]]
    assert list(batches([], 100)) == []


# Padding and pooling ----------------------------------------------------------------------------

TOKENS = [[5, 6, 7], [8], [9, 9]]


def test_right_padding_by_hand():
    batch = collate(TOKENS, pad=1)
    assert batch["input_ids"].tolist() == [[5, 6, 7], [8, 1, 1], [9, 9, 1]]
    assert batch["attention_mask"].tolist() == [[1, 1, 1], [1, 0, 0], [1, 1, 0]]
    assert batch["position_ids"][0].tolist() == [0, 1, 2]
    assert batch["position_ids"][2, :2].tolist() == [0, 1]


def test_left_padding_by_hand_counts_positions_from_the_first_real_token():
    batch = collate(TOKENS, pad=1, side="left")
    assert batch["input_ids"].tolist() == [[5, 6, 7], [1, 1, 8], [1, 9, 9]]
    assert batch["attention_mask"].tolist() == [[1, 1, 1], [0, 0, 1], [0, 1, 1]]
    assert batch["position_ids"].tolist() == [[0, 1, 2], [0, 0, 0], [0, 0, 1]]


@pytest.mark.parametrize("side", ["left", "right"])
def test_poolings_by_hand(side):
    batch = collate(TOKENS, 1, side)
    masks = pooling_masks(batch["attention_mask"], ("last", "mean", "mean_all"))
    assert list(masks) == ["last", "mean", "mean_all"]
    tokens = {
        name: [ids[here].tolist() for ids, here in zip(batch["input_ids"], mask, strict=True)]
        for name, mask in masks.items()
    }
    assert tokens == {
        "last": [[7], [8], [9]],
        "mean": [[6, 7], [8], [9]],
        "mean_all": TOKENS,
    }


def test_a_pad_token_that_is_also_a_real_token_is_pooled_where_it_is_real():
    masks = pooling_masks(collate([[1, 4, 1], [4]], pad=1)["attention_mask"], ("mean",))
    assert torch.equal(masks["mean"], torch.tensor([[False, True, True], [True, False, False]]))


# Other ways to put the same ---------------------------------------------------------------------


def test_there_are_at_least_five_ways_to_put_an_action_the_default_among_them():
    asked = {ReadSpec(template=one).prompt("lying to a friend") for one in TEMPLATES.values()}
    assert len(asked) == len(TEMPLATES) >= 5
    assert ReadSpec().template in TEMPLATES.values()
    assert "lying to a friend" in asked  # bare


def test_a_chat_turn_is_the_models_own_without_a_second_start(llama, gpt2, monkeypatch):
    assert chat_turn(llama) == PLAIN_TURN
    template = "<s>U: {{ messages[0].content }}\nA:"
    monkeypatch.setattr(llama.tokenizer, "chat_template", template)
    assert chat_turn(llama) == "U: {action}\nA:"
    monkeypatch.setattr(gpt2.tokenizer, "chat_template", template)  # it puts nothing before a text
    assert chat_turn(gpt2) == "<s>U: {action}\nA:"


@pytest.mark.parametrize(
    "template",
    ["{{ raise_exception('roles') }}", "{% if %}", "U: {{ messages[0].content | upper }}", "A:"],
)
def test_a_chat_template_that_fails_or_loses_the_text_gives_a_plain_turn(
    llama, monkeypatch, template
):
    monkeypatch.setattr(llama.tokenizer, "chat_template", template)
    assert chat_turn(llama) == PLAIN_TURN
    assert ReadSpec(template=PLAIN_TURN).prompt("Lying.") == "User: Lying\nAssistant:"

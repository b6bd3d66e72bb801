"""Two texts: what differs, how fluent each is, where an axis lights up."""

import math
import random
import time

import numpy as np
import pytest
import torch

from core import CoreError
from core.activations.traces import token_states
from core.steering.effects.text_diff import differing, perplexity, project_tokens, repetition
from tests.core.steering.steeringsets import made_direction, plain_logits

IDS = [5, 9, 40, 41, 7, 100]


@pytest.mark.parametrize(
    ("plain", "steered"),
    [
        ("he helped the man", "he hurt the man"),
        ("", "something new"),
        ("gone", ""),
        ("", ""),
        ("a, b. c!", "a; b. c?"),
        ("same text", "same text"),
        ("héllo  wörld\n", "héllo wörld"),
    ],
)
def test_pieces_join_to_the_texts(plain, steered):
    left, right = differing(plain, steered)
    assert "".join(piece.text for piece in left) == plain
    assert "".join(piece.text for piece in right) == steered
    same = ["".join(p.text for p in side if p.mark == "same") for side in (left, right)]
    assert same[0] == same[1]


def test_only_what_differs_is_marked():
    left, right = differing("he helped the man", "he hurt the man")
    assert [piece.text for piece in left if piece.mark == "only here"] == ["helped"]
    assert [piece.text for piece in right if piece.mark == "only here"] == ["hurt"]
    assert {piece.mark for side in differing("a b", "a b") for piece in side} == {"same"}


def test_repetition_is_the_share_of_runs_seen_before():
    assert repetition("one two three four five") == 0
    assert repetition("go on and go on and") == pytest.approx(1 - 3 / 4)
    assert repetition("no no no no no no") == pytest.approx(1 - 1 / 4)
    assert math.isnan(repetition("two words"))


def test_where_a_script_has_no_blanks_characters_are_compared():
    left, right = differing("他帮了朋友", "他骗了朋友")
    assert [piece.text for piece in left if piece.mark == "only here"] == ["帮"]
    assert [piece.text for piece in right if piece.mark == "only here"] == ["骗"]
    assert repetition("他说他说他说") == pytest.approx(1 - 2 / 4)


def test_perplexity_is_that_of_a_plain_forward(llama):
    ids, start = IDS, 2
    logs = torch.log_softmax(plain_logits(llama, ids), dim=1)
    expected = float(torch.exp(-torch.stack([logs[i - 1, ids[i]] for i in range(2, 6)]).mean()))
    found = perplexity(llama, ids[:start], [ids[start:], []])
    assert found[0] == pytest.approx(expected, rel=1e-4)
    assert math.isnan(found[1])


def test_heat_is_the_cosine_of_each_written_token(llama):
    direction, centre = made_direction(layer=1), np.linspace(-1, 1, 32)
    found = project_tokens(llama, IDS[:2], IDS[2:], direction, centre)
    batch = {
        "input_ids": torch.tensor([IDS]),
        "attention_mask": torch.ones(1, 6, dtype=torch.int64),
        "position_ids": torch.arange(6)[None],
    }
    states = token_states(llama, batch, 1)[0].double().numpy()[2:] - centre
    expected = [one @ direction.vector / np.linalg.norm(one) for one in states]
    np.testing.assert_allclose(found.value, expected, atol=1e-6)
    assert len(found.tokens) == 4


@pytest.mark.parametrize("model", ["llama", "gpt2"])
def test_continuations_of_any_length_are_measured_each_alone(model, request):
    opened_model = request.getfixturevalue(model)
    written = [IDS[3:], IDS[1:2], [], IDS[:4]]
    together = perplexity(opened_model, IDS[:3], written)
    for one, ids in zip(together, written, strict=True):
        [alone] = perplexity(opened_model, IDS[:3], [ids])
        assert (math.isnan(one) and math.isnan(alone)) or one == pytest.approx(alone, rel=1e-6)
    assert [math.isnan(one) for one in together] == [False, False, True, False]


def test_heat_of_nothing_written_is_empty_and_the_first_token_of_all_has_none(llama):
    empty = project_tokens(llama, IDS, [], made_direction(layer=1), np.zeros(32))
    assert (empty.tokens, empty.value.shape) == ([], (0,))
    first = project_tokens(llama, [], IDS, made_direction(layer=1), np.zeros(32))
    assert len(first.tokens) == len(first.value) == len(IDS)
    assert np.isnan(first.value).tolist() == [True] + [False] * 5
    assert (np.abs(first.value[1:]) <= 1).all()


def test_heat_along_a_direction_of_no_layer_is_refused(llama):
    """Layer -2, a file that does not say, would be read as the last but one."""
    with pytest.raises(CoreError, match="no layer"):
        project_tokens(llama, IDS[:2], IDS[2:], made_direction(layer=-2), np.zeros(32))


def test_long_and_repetitive_texts_are_compared_at_once():
    """A text has at most 400 tokens; the worst case must not hold a page up."""
    plain, steered = "a b " * 200, "b a c " * 133
    begin = time.thread_time()  # a busy machine is not to blame
    left, right = differing(plain, steered)
    assert time.thread_time() - begin < 5
    assert "".join(piece.text for piece in left) == plain
    assert "".join(piece.text for piece in right) == steered


def test_any_text_is_cut_and_joined_again():
    draw = random.Random(5)
    letters = "ab \n\t.,_é模พื่។‮😀\u0301\x00'"
    for _ in range(300):
        texts = ["".join(draw.choices(letters, k=draw.randint(0, 40))) for _ in range(2)]
        for text, pieces in zip(texts, differing(*texts), strict=True):
            assert "".join(piece.text for piece in pieces) == text

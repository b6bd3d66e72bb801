"""What counts as a word, with blanks between words and without."""

import re
from itertools import pairwise

import pytest

from core.statistics.words import WORD, count_words, counting_key, terms


def test_words_between_blanks_stand_alone_and_in_pairs():
    assert terms("Helping a Friend!") == ["helping", "a", "friend", "helping a", "a friend"]


@pytest.mark.parametrize(
    "text",
    ["Ça va, l'été", "나는 친구를 돕는다", "я помогаю другу", "मैं मदद करता हूँ", "a_b 12 don't", ""],
)
def test_where_blanks_part_words_terms_are_those_of_a_plain_pattern(text):
    words = re.findall(r"(?u)\b\w+\b", text.lower())
    assert terms(text) == words + [" ".join(pair) for pair in pairwise(words)]
    assert count_words(text) == len(text.split())
    assert counting_key([text]) == {}


def test_chinese_characters_and_their_pairs_are_terms_beside_words():
    expected = ["我", "帮", "bob", "是", "我 帮", "帮 bob", "bob 是"]
    assert terms("我帮Bob,是。") == expected
    assert count_words("我帮Bob,是。") == 4


def test_letters_keep_their_marks_and_words_of_many_letters_are_runs():
    found = terms("เพื่อน ok yes no")
    assert found[:5] == ["เ", "พื่", "อ", "น", "ok"]
    assert {"เ พื่ อ น", "พื่ อ น", "ok yes"} <= set(found)
    assert not any(one.count(" ") > 1 for one in found if "ok" in one)


@pytest.mark.parametrize(
    "text", ["盗みをする", "ช่วยเพื่อน", "ຊ່ວຍເພື່ອນ", "ជួយមិត្តភក្តិ", "သူငယ်ချင်းကိုကူညီ", "𠀋𠮷", "ドロボウ"]
)
def test_every_script_without_blanks_is_cut(text):
    assert "".join(re.findall(WORD, text)) == text
    assert count_words(text) > 1
    assert counting_key(["a b", text]) == {"words": "characters"}

"""Recipes: frozen, the same again from JSON and from an address, and nothing else gets in."""

import base64
import dataclasses
import hashlib
import json
import random
import zlib

import pytest

from core.activations.decoding import MOST_SAMPLES, MOST_TOKENS, Decoding, DecodingError
from core.steering.recipes import (
    MOST_STRENGTH,
    VERSION,
    Recipe,
    RecipeError,
    Term,
    recipe_of,
    unpacked,
)

DIGEST = "c0ffee" * 10 + "beef"
ORDINARY = Recipe(
    model="hub:google/gemma-3-270m@9b0cfec892e2bc2afd938c98eabe4e4a7b1e0ca1",
    identity=f"hub:google/gemma-3-270m:{DIGEST}",
    items=DIGEST,
    template="{action} is morally",
    layers=(9, 10, 11, 12),
    terms=tuple(
        Term(axis, strength)
        for axis, strength in (
            ("care-harm", 0.125),
            ("fairness-cheating", -0.3),
            ("loyalty-betrayal", 0.07),
            ("authority-subversion", -0.11),
            ("sanctity-degradation", 0.2),
        )
    ),
)
PLAIN = Recipe("packaged", "", "", "{action}", (3,))
ODD = Recipe(
    "folder:/home/ä b/模型",
    "",
    DIGEST,
    'He said "{action}"\n\t',
    (0,),
    (Term(f"file:{DIGEST}", -4.0), Term("harm", 0.0, "shuffled"), Term("care", 1e-9, "probe")),
    positions="generated",
    operation="project out",
    pooling="mean_all",
    decoding=Decoding(400, 0.0, 1, 1.0, 8, 2**40, chat=True),
)


def changed(**fields):
    """Return the JSON of an ordinary recipe with other values; ``...`` leaves a field out."""
    record = json.loads(ORDINARY.json()) | fields
    return json.dumps({name: value for name, value in record.items() if value is not ...})


# Round trips ------------------------------------------------------------------------------------


@pytest.mark.parametrize("recipe", [ORDINARY, PLAIN, ODD])
def test_a_recipe_is_the_same_again_from_json_and_from_an_address(recipe):
    for again in (recipe_of(recipe.json()), unpacked(recipe.packed())):
        assert again == recipe
        assert again.digest == recipe.digest
        assert again.json() == recipe.json()
        assert hash(again) == hash(recipe)


@pytest.mark.parametrize("recipe", [ORDINARY, PLAIN, ODD])
def test_the_word_of_an_address_is_short_and_needs_no_escape(recipe):
    word = recipe.packed()
    assert len(word) < 1500
    assert set(word) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")


def test_a_recipe_cannot_be_changed():
    for part in (ORDINARY, ORDINARY.terms[0], ORDINARY.decoding):
        name = dataclasses.fields(part)[0].name
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(part, name, "other")


def test_every_field_is_part_of_the_digest():
    others = [
        dataclasses.replace(ORDINARY, **{name: value})
        for name, value in {
            "model": "packaged",
            "identity": "",
            "items": "0",
            "template": "{action}",
            "layers": (9,),
            "terms": (),
            "positions": "all",
            "operation": "set",
            "pooling": "mean",
            "decoding": Decoding(seed=1),
            "strip": False,
            "max_tokens": 128,
        }.items()
    ]
    assert len(others) == len(dataclasses.fields(Recipe))
    assert len({one.digest for one in (ORDINARY, *others)}) == len(others) + 1


def test_a_field_at_its_default_is_no_part_of_the_digest():
    """Fields that a later version adds must not give older runs another name."""
    few = json.dumps({"axis": "care", "strength": 0.1})
    terms = f'{{"model":"m","identity":"","items":"","template":"t","layers":[3],"terms":[{few}]}}'
    canonical = json.dumps(json.loads(terms), sort_keys=True, separators=(",", ":"))
    made = Recipe("m", "", "", "t", (3,), (Term("care", 0.1),), decoding=Decoding())
    assert made.digest == hashlib.sha256(canonical.encode()).hexdigest()
    assert made.digest == "5116a1b1eb6b9b52edeff8a1469cac16ac6e32be52fc58d531ea19234612e0d4"


def test_whole_and_broken_numbers_of_one_value_are_one_recipe():
    whole, broken = (dataclasses.replace(PLAIN, terms=(Term("care", one),)) for one in (1, 1.0))
    assert whole == broken
    assert whole.digest == broken.digest
    zeros = [dataclasses.replace(PLAIN, terms=(Term("care", one),)) for one in (0.0, -0.0, 0)]
    assert len({one.digest for one in zeros}) == 1
    warm = [dataclasses.replace(PLAIN, decoding=Decoding(temperature=one)) for one in (1, 1.0)]
    assert warm[0].digest == warm[1].digest


def test_what_is_left_out_takes_its_default():
    few = json.dumps(
        {"version": 1, "model": "packaged", "identity": "", "items": "", "layers": [3]}
    )
    with pytest.raises(RecipeError, match="incomplete"):
        recipe_of(few)
    again = recipe_of(few[:-1] + ', "template": "{action}"}')
    assert again == PLAIN


def test_terms_of_no_strength_are_not_active_unless_the_part_is_set():
    terms = (Term("care", 0.0), Term("harm", 0.2))
    recipe = dataclasses.replace(PLAIN, terms=terms)
    assert recipe.active == terms[1:]
    assert dataclasses.replace(recipe, operation="project out").active == terms[1:]
    assert dataclasses.replace(recipe, operation="set").active == terms


# Refusals ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "strength", [float("nan"), float("inf"), -float("inf"), 4.001, -5, "0.1", None, True, 1j, []]
)
def test_a_strength_that_cannot_be_meant_is_refused(strength):
    with pytest.raises(RecipeError, match="strength"):
        Term("care", strength)


def test_strengths_up_to_the_limit_are_taken():
    assert Term("care", MOST_STRENGTH).strength == -Term("care", -MOST_STRENGTH).strength


@pytest.mark.parametrize(
    "fields",
    [
        {"tokens": 0},
        {"tokens": MOST_TOKENS + 1},
        {"tokens": 4.5},
        {"tokens": True},
        {"tokens": None},
        {"temperature": -0.1},
        {"temperature": 5.1},
        {"temperature": float("nan")},
        {"temperature": "1"},
        {"top_k": 0},
        {"top_k": 1001},
        {"top_k": 2.5},
        {"top_p": 0},
        {"top_p": 1.1},
        {"top_p": float("nan")},
        {"samples": 0},
        {"samples": MOST_SAMPLES + 1},
        {"samples": 1.5},
        {"seed": -1},
        {"seed": 0.5},
        {"seed": 2**70},
        {"seed": "0"},
        {"chat": "no"},
        {"chat": 1},
    ],
)
def test_impossible_decodings_are_refused(fields):
    with pytest.raises(DecodingError, match="cannot be run"):
        Decoding(**fields)
    name, value = next(iter(fields.items()))
    with pytest.raises(RecipeError):
        recipe_of(changed(decoding={name: value}))


@pytest.mark.parametrize(
    "fields",
    [
        {"version": ...},
        {"version": "1"},
        {"version": None},
        {"version": True},
        {"version": 0},
        {"version": 1.0},
        {"model": ...},
        {"model": 3},
        {"identity": None},
        {"items": ["a"]},
        {"template": 7},
        {"layers": ...},
        {"layers": []},
        {"layers": [3, 3]},
        {"layers": [-1]},
        {"layers": 3},
        {"layers": "12"},
        {"layers": [1.5]},
        {"layers": ["1"]},
        {"layers": [True]},
        {"layers": [None]},
        {"layers": {"1": 1}},
        {"terms": None},
        {"terms": 3},
        {"terms": ["care"]},
        {"terms": [["care", 1]]},
        {"terms": [{"axis": "care"}]},
        {"terms": [{"strength": 1}]},
        {"terms": [{"axis": "care", "strength": 1, "colour": "red"}]},
        {"terms": [{"axis": 3, "strength": 1}]},
        {"terms": [{"axis": "care", "strength": 1, "method": "magic"}]},
        {"terms": [{"axis": "care", "strength": float("nan")}]},
        {"terms": {"axis": "care", "strength": 1}},
        {"positions": "some"},
        {"positions": ["all"]},
        {"positions": None},
        {"operation": "multiply"},
        {"operation": {}},
        {"pooling": "max"},
        {"pooling": []},
        {"strip": "no"},
        {"max_tokens": 16},
        {"max_tokens": None},
        {"decoding": None},
        {"decoding": []},
        {"decoding": {"beams": 4}},
        {"prompt": "is not part of it"},
        {"__class__": "Term"},
    ],
)
def test_json_that_is_no_recipe_is_refused_in_one_sentence(fields):
    with pytest.raises(RecipeError) as caught:
        recipe_of(changed(**fields))
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize("text", ["", "null", "[]", "3", '"a"', "{", "{}", "[" * 9000, "\ud800"])
def test_other_text_is_refused(text):
    with pytest.raises(RecipeError):
        recipe_of(text)


def test_a_newer_version_is_refused_and_says_so():
    newer = changed(version=VERSION + 1, decoding={"beams": 4}, future="field")
    with pytest.raises(RecipeError, match=r"version 2.* reads up to 1.*Update"):
        recipe_of(newer)
    word = base64.urlsafe_b64encode(zlib.compress(newer.encode())).decode().rstrip("=")
    with pytest.raises(RecipeError, match=r"version 2.*Update"):
        unpacked(word)


def test_unknown_fields_are_named():
    with pytest.raises(RecipeError, match="holds colour, shape, which is not known"):
        recipe_of(changed(shape=1, colour=2))


# Damaged addresses ------------------------------------------------------------------------------


def test_a_damaged_word_is_refused_or_still_a_recipe():
    draw, word, refused = random.Random(4), ORDINARY.packed(), 0
    letters = "ABCabc019-_ =+/%&äé\u0000\U0001f600\ud800"
    for _ in range(3000):
        mutated = list(word)
        for _ in range(draw.randint(1, 4)):
            place = draw.randrange(len(mutated) or 1)
            kind = draw.randrange(3)
            if not mutated:
                break
            if kind == 0:
                mutated[place] = draw.choice(letters)
            elif kind == 1:
                del mutated[place]
            else:
                mutated = mutated[: max(place, 1)]
        try:
            assert isinstance(unpacked("".join(mutated)), Recipe)
        except RecipeError:
            refused += 1
    assert refused > 2900


@pytest.mark.parametrize("word", ["", "=", "A", "AAAA", "ä", "\x00", "%", "\ud800", "x" * 200_000])
def test_words_that_never_were_recipes_are_refused(word):
    with pytest.raises(RecipeError, match="damaged"):
        unpacked(word)


def test_valid_json_with_odd_values_never_gets_past():
    draw = random.Random(8)
    odd = [
        None,
        True,
        -1,
        1e308,
        "",
        "x",
        [],
        {},
        [[]],
        {"a": 1},
        [1, 2],
        "\u0000",
        10**400,
        "9" * 99,
    ]
    names = [one.name for one in dataclasses.fields(Recipe)]
    for _ in range(2000):
        text = changed(**{draw.choice(names): draw.choice(odd) for _ in range(2)})
        try:
            recipe = recipe_of(text)
        except RecipeError:
            continue
        assert unpacked(recipe.packed()) == recipe  # what is let in is whole


def test_a_zip_bomb_is_not_unpacked():
    import tracemalloc

    bomb = base64.urlsafe_b64encode(zlib.compress(b"[" + b" " * 200_000_000 + b"]", 9)).decode()
    tracemalloc.start()
    with pytest.raises(RecipeError, match="damaged"):
        unpacked(bomb)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 3_000_000


def test_deep_nesting_in_an_address_is_refused():
    deep = base64.urlsafe_b64encode(zlib.compress(b"[" * 60_000)).decode()
    with pytest.raises(RecipeError, match="damaged"):
        unpacked(deep)

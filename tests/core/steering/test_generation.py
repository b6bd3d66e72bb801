"""Writing: equal to transformers' own, the same numbers for both arms, stops within one token."""

import threading

import numpy as np
import pytest
import torch

from core import CoreError
from core.activations import decoding as activations_decoding
from core.activations.decoding import Decoding, choose
from core.steering import generation
from core.steering.generation import prompt_ids, write
from core.steering.recipes import MOST_PROMPT, RecipeError
from tests.core.steering.steeringsets import made_edit

PROMPT = "Lying to a friend is morally"
GREEDY = Decoding(tokens=24, temperature=0.0, samples=1)


@pytest.fixture
def endless(model, monkeypatch):
    """Let no token end a text, so that lengths are known."""
    monkeypatch.setattr(generation, "end_tokens", lambda model: set())
    return model


def whole(model, edits=(), decoding=GREEDY, positions="all", prompt=PROMPT, stop=None):
    *_, last = write(model, prompt, list(edits), positions, decoding, stop)
    return last


def by_generate(model, prompt, tokens):
    """Return what transformers writes greedily, the end token left out."""
    batch = model.tokenizer(prompt, return_tensors="pt")
    with model.lock, torch.no_grad():
        found = model.module.generate(
            input_ids=batch["input_ids"],
            attention_mask=batch["attention_mask"],
            do_sample=False,
            max_new_tokens=tokens,
            pad_token_id=model.tokenizer.pad_token_id,
        )
    new = found[0, batch["input_ids"].shape[1] :].tolist()
    ends = activations_decoding.end_tokens(model)
    return new[: next((place for place, one in enumerate(new) if one in ends), len(new))]


# Equal to transformers --------------------------------------------------------------------------


@pytest.mark.parametrize(
    "prompt", [PROMPT, "a", "Help", "You should not steal from your neighbour"]
)
def test_greedy_text_is_that_of_transformers(model, prompt):
    written = whole(model, prompt=prompt)
    expected = by_generate(model, prompt, GREEDY.tokens)
    assert list(written.plain_ids[0]) == list(written.steered_ids[0]) == expected
    assert written.plain[0] == model.tokenizer.decode(expected, skip_special_tokens=True)
    assert written.finished


@pytest.mark.parametrize("operation", ["add", "project out", "set"])
@pytest.mark.parametrize("positions", ["all", "not first", "generated"])
def test_a_cached_steered_text_is_that_of_whole_passes_with_a_hook(endless, operation, positions):
    """Without a cache, by plain hooks: absolute positions and edits of old tokens must be right."""
    from tests.core.activations.test_traces_steering import hook_logits

    edits = [made_edit((0.6, -0.4), operation, layer) for layer in (0, 1)]
    written = whole(endless, edits, positions=positions)
    ids = prompt_ids(endless, PROMPT, chat=False)
    start = len(ids)
    for token in written.steered_ids[0]:
        place = torch.arange(len(ids))
        chosen = place >= {"all": 0, "not first": 1, "generated": start - 1}[positions]
        logits = hook_logits(endless, ids, edits, chosen)[-1]
        best = logits.topk(2)
        assert token == best.indices[0] or best.values[0] - best.values[1] < 1e-4
        ids.append(token)
    assert written.steered_ids != written.plain_ids
    assert written.plain_ids == whole(endless).plain_ids


# The same numbers for both arms -----------------------------------------------------------------


@pytest.mark.parametrize("decoding", [GREEDY, Decoding(tokens=24, samples=4, seed=3)])
def test_without_steering_both_arms_are_byte_identical(model, decoding):
    for written in write(model, PROMPT, [], "all", decoding):
        assert written.plain == written.steered
        assert written.plain_ids == written.steered_ids
        assert written.changed_tokens == 0
        assert (written.firings.calls, written.firings.tokens) == (0, 0)


@pytest.mark.parametrize("samples", [1, 2, 3, 8])
def test_without_steering_both_arms_see_the_same_logits_bit_for_bit(model, monkeypatch, samples):
    seen = []

    def spy(logits, uniform, decoding):
        seen.append((logits, uniform))
        return choose(logits, uniform, decoding)

    monkeypatch.setattr(generation, "choose", spy)
    whole(model, decoding=Decoding(tokens=6, samples=samples))
    for logits, uniform in seen:
        assert logits[:samples].numpy().tobytes() == logits[samples:].numpy().tobytes()
        assert uniform[:samples].tolist() == uniform[samples:].tolist()
        assert uniform.dtype == torch.float64  # float32 would round the largest number to 1


def test_an_edit_too_small_to_matter_says_that_nothing_changed(endless):
    written = whole(endless, [made_edit((1e-9,))], Decoding(tokens=10, samples=2))
    assert written.plain == written.steered
    assert written.changed_tokens == 0
    assert written.firings.calls == 10


def test_the_seed_makes_the_text_and_samples_have_their_own(endless):
    one = whole(endless, decoding=Decoding(tokens=12, samples=3, seed=1))
    again = whole(endless, decoding=Decoding(tokens=12, samples=3, seed=1))
    other = whole(endless, decoding=Decoding(tokens=12, samples=3, seed=2))
    assert one.plain_ids == again.plain_ids
    assert one.plain_ids != other.plain_ids
    assert len(set(one.plain_ids)) == 3


def test_a_samples_text_does_not_depend_on_how_many_are_written(endless):
    two = whole(endless, decoding=Decoding(tokens=12, samples=2, seed=5))
    five = whole(endless, decoding=Decoding(tokens=12, samples=5, seed=5))
    assert five.plain_ids[:2] == two.plain_ids


def test_plain_texts_do_not_depend_on_steering(endless):
    decoding = Decoding(tokens=16, samples=2, seed=1)
    plain = whole(endless, decoding=decoding).plain_ids
    for strength in (0.1, 0.5, 3.0):
        written = whole(endless, [made_edit((strength,))], decoding)
        assert written.plain_ids == plain
    assert written.steered_ids != plain
    assert written.changed_tokens > 0


# Counting ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("positions", "prompted"), [("all", None), ("not first", -1), ("generated", 1)]
)
def test_firings_are_counted_over_layers_rows_and_steps(endless, positions, prompted):
    edits = [made_edit(layer=layer) for layer in (0, 2)]
    written = whole(endless, edits, Decoding(tokens=7, samples=3), positions)
    n = len(prompt_ids(endless, PROMPT, chat=False))
    at_prompt = {None: n, -1: n - 1, 1: 1}[prompted]
    assert written.firings.calls == 2 * 7
    assert written.firings.tokens == 2 * 3 * (at_prompt + 6)


def test_each_step_has_its_own_count(endless):
    steps = list(write(endless, PROMPT, [made_edit()], "generated", Decoding(tokens=5, samples=2)))
    assert [one.firings.tokens for one in steps] == [2, 4, 6, 8, 10]
    assert [one.finished for one in steps] == [False] * 4 + [True]


def test_changed_tokens_count_positions_and_missing_ones():
    firings = generation.Firings()
    written = generation.Written(
        ("", ""), ("", ""), ((1, 2, 3), (1,)), ((1, 9, 3, 4), (1,)), firings, finished=True
    )
    assert written.changed_tokens == 2


# Ends -------------------------------------------------------------------------------------------


def ending_at(model, monkeypatch, place, row=0):
    """Let the token that a free run writes at a place end texts; return the free run's ids."""
    monkeypatch.setattr(generation, "end_tokens", lambda model: set())
    decoding = Decoding(tokens=20, samples=2, seed=11)
    free = whole(model, decoding=decoding).plain_ids
    end = free[row][place]
    monkeypatch.setattr(generation, "end_tokens", lambda model: {end})
    return free, end, decoding


def test_a_row_that_ended_is_padded_and_the_others_go_on(model, monkeypatch):
    free, end, decoding = ending_at(model, monkeypatch, 4)
    steps = list(write(model, PROMPT, [], "all", decoding))
    for row, ids in enumerate(free):
        expected = ids[: ids.index(end)] if end in ids else ids
        assert steps[-1].plain_ids[row] == steps[-1].steered_ids[row] == expected
    lengths = [tuple(map(len, one.plain_ids)) for one in steps]
    assert lengths == sorted(lengths)
    assert steps[-1].finished
    assert not any(one.finished for one in steps[:-1])


def test_rows_that_ended_are_not_steered_any_more(model, monkeypatch):
    _, _, decoding = ending_at(model, monkeypatch, 4)
    written = whole(model, [made_edit((1e-9,))], decoding, "generated")
    lengths = [len(ids) for ids in written.steered_ids]
    # A row makes one token per firing, its end included, until its length is reached.
    assert written.firings.tokens == sum(min(one + 1, decoding.tokens) for one in lengths)


def test_all_rows_ended_ends_the_writing(model, monkeypatch):
    first = whole(model).plain_ids[0]
    monkeypatch.setattr(generation, "end_tokens", lambda model: {first[3]})
    steps = list(write(model, PROMPT, [], "all", GREEDY))
    assert len(steps) == first.index(first[3]) + 1
    assert steps[-1].plain_ids[0] == first[: first.index(first[3])]
    assert steps[-1].finished


def test_a_text_that_ends_at_once_is_empty(model, monkeypatch):
    first = whole(model).plain_ids[0][0]
    monkeypatch.setattr(generation, "end_tokens", lambda model: {first})
    [only] = write(model, PROMPT, [made_edit((1e-9,))], "all", GREEDY)
    assert only.plain == only.steered == ("",)
    assert only.finished


def testend_tokens_are_those_of_the_generation_settings_and_the_tokenizer(llama, monkeypatch):
    settings = llama.module.generation_config
    for named, expected in ((None, {2}), (7, {2, 7}), ([7, 9], {2, 7, 9})):
        monkeypatch.setattr(settings, "eos_token_id", named)
        assert activations_decoding.end_tokens(llama) == expected


# Stopping ---------------------------------------------------------------------------------------


def free_lock(model):
    taken = []

    def take():
        taken.append(model.lock.acquire(timeout=1))
        model.lock.release()

    thread = threading.Thread(target=take)
    thread.start()
    thread.join()
    return taken == [True]


def test_stop_before_the_first_token_writes_nothing(model):
    stop = threading.Event()
    stop.set()
    assert list(write(model, PROMPT, [made_edit()], "all", GREEDY, stop)) == []
    assert free_lock(model)
    assert whole(model).finished


@pytest.mark.parametrize("after", [1, 5])
def test_stop_in_the_middle_ends_within_one_token(endless, after):
    stop, steps = threading.Event(), []
    for written in write(endless, PROMPT, [made_edit()], "all", GREEDY, stop):
        steps.append(written)
        assert free_lock(endless)
        if len(steps) == after:
            stop.set()
    assert len(steps) == after
    assert not steps[-1].finished
    assert whole(endless).finished


def test_a_run_that_is_left_frees_the_lock(endless):
    run = write(endless, PROMPT, [made_edit()], "all", GREEDY)
    next(run)
    run.close()
    assert free_lock(endless)
    assert whole(endless).finished


def test_two_threads_finish_with_their_own_texts(endless):
    prompts = ["Lying to a friend is morally", "Help", "You should keep a promise to your team"]
    edits = [[made_edit((0.6,), seed=number)] for number in range(3)]
    decoding = Decoding(tokens=20, samples=2, seed=4)
    alone = [
        whole(endless, edit, decoding, prompt=prompt)
        for prompt, edit in zip(prompts, edits, strict=True)
    ]
    found = {}

    def run(number):
        found[number] = whole(endless, edits[number], decoding, prompt=prompts[number])

    threads = [threading.Thread(target=run, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    for number, expected in enumerate(alone):
        assert found[number].plain_ids == expected.plain_ids
        assert found[number].steered_ids == expected.steered_ids
        assert found[number].firings.tokens == expected.firings.tokens


# Drawing ----------------------------------------------------------------------------------------


def exact(logits, decoding):
    """Return the probability of each token by the definitions of top-k and top-p."""
    order = np.argsort(-logits, kind="stable")[: decoding.top_k]
    share = np.exp((logits[order] - logits.max()) / decoding.temperature)
    share /= share.sum()
    kept = np.concatenate([[0], np.cumsum(share)[:-1]]) < decoding.top_p
    result = np.zeros(len(logits))
    result[order] = np.where(kept, share, 0) / share[kept].sum()
    return result


@pytest.mark.parametrize(
    "decoding",
    [
        Decoding(temperature=1.0, top_k=1000, top_p=1.0),
        Decoding(temperature=0.5, top_k=1000, top_p=1.0),
        Decoding(temperature=5.0, top_k=7, top_p=1.0),
        Decoding(temperature=1.0, top_k=1000, top_p=0.6),
        Decoding(temperature=1.3, top_k=10, top_p=0.8),
        Decoding(temperature=1.0, top_k=1, top_p=1.0),
        Decoding(temperature=1.0, top_k=50, top_p=1e-9),
    ],
)
def test_tokens_are_drawn_with_their_exact_probability(decoding):
    logits = np.random.default_rng(1).normal(size=40) * 2
    grid = torch.arange(20_000, dtype=torch.float64).add(0.5) / 20_000
    rows = torch.tensor(logits, dtype=torch.float32).expand(len(grid), -1)
    drawn = choose(rows, grid, decoding).numpy()
    share = np.bincount(drawn, minlength=40) / len(grid)
    np.testing.assert_allclose(share, exact(logits, decoding), atol=2e-4)


@pytest.mark.parametrize("decoding", [Decoding(top_k=50, top_p=0.5), Decoding(top_k=9, top_p=0.9)])
@pytest.mark.parametrize("uniform", [0.0, 1 - 2**-53, 1.0])
def test_no_number_draws_a_token_that_was_cut_off(decoding, uniform):
    rng = np.random.default_rng(2)
    logits = torch.tensor(rng.normal(size=(200, 60)) * 3, dtype=torch.float32)
    drawn = choose(logits, torch.full((200,), uniform, dtype=torch.float64), decoding)
    for row, token in zip(logits.numpy().astype(np.float64), drawn, strict=True):
        assert exact(row, decoding)[token] > 0


def test_no_temperature_takes_the_likeliest_and_so_does_nearly_none():
    logits = torch.tensor(np.random.default_rng(3).normal(size=(50, 30)), dtype=torch.float32)
    uniform = torch.tensor(np.random.default_rng(4).random(50))
    best = logits.argmax(dim=1)
    for temperature in (0.0, 1e-9, 1e-300, 5e-324):
        assert torch.equal(choose(logits, uniform, Decoding(temperature=temperature)), best)


def test_a_larger_number_never_draws_a_likelier_token():
    logits = torch.tensor(np.random.default_rng(3).normal(size=30), dtype=torch.float32)
    uniform = torch.linspace(0, 0.999, 500, dtype=torch.float64)
    drawn = choose(logits.expand(500, -1), uniform, Decoding(temperature=1.0))
    assert (logits[drawn].diff() <= 0).all()


# Bad input --------------------------------------------------------------------------------------


@pytest.mark.parametrize("prompt", ["", "  \n\t ", "\x00", "\x00 \x00"])
def test_an_empty_prompt_is_refused(model, prompt):
    with pytest.raises(RecipeError, match="There is no prompt"):
        whole(model, prompt=prompt)


@pytest.mark.parametrize("length", [MOST_PROMPT + 1, 100_000])
def test_a_long_prompt_is_refused(model, length):
    with pytest.raises(RecipeError, match=rf"has {length:,} characters; at most 4,000"):
        whole(model, prompt="a" * length)


def test_half_a_character_is_refused(model):
    with pytest.raises(RecipeError, match="half a character"):
        whole(model, prompt="a \ud800 b")


def test_more_than_the_model_can_read_is_refused_before_it_runs(model):
    """A position beyond the table of GPT-2 is an IndexError, on a GPU the end of the process."""
    with pytest.raises(RecipeError, match=r"reads at most 256 tokens.* 24 new"):
        whole(model, prompt="xyz " * 200)
    fits = whole(model, prompt="x" * (256 - 24 - 1), decoding=GREEDY)
    assert fits.finished


@pytest.mark.parametrize(
    "prompt", ["\x01\x02\x7f", "a\x00b", "‮abc", "\r\n x", "👩‍👩‍👧 😀", "<s></s><pad> a"]
)
def test_odd_characters_are_read_like_any_other(model, prompt):
    written = whole(model, prompt=prompt)
    assert list(written.plain_ids[0]) == by_generate(model, prompt.replace("\x00", ""), 24)


def test_chat_without_a_template_is_refused(model):
    with pytest.raises(RecipeError, match="has no chat template: it is a base model"):
        whole(model, decoding=Decoding(chat=True))


def test_a_chat_template_wraps_the_prompt_and_adds_no_second_start(llama, monkeypatch):
    template = "<s>U: {{ messages[0].content }}\nA:"
    monkeypatch.setattr(llama.tokenizer, "chat_template", template)
    assert prompt_ids(llama, "Hi", chat=True) == llama.tokenizer("U: Hi\nA:")["input_ids"]


def test_a_chat_template_that_fails_is_a_clear_sentence(llama, monkeypatch):
    for broken in ("{{ raise_exception('roles') }}", "{% if %}"):
        monkeypatch.setattr(llama.tokenizer, "chat_template", broken)
        with pytest.raises(RecipeError, match="chat template"):
            prompt_ids(llama, "Hi", chat=True)


@pytest.mark.parametrize("norm", [float("nan"), float("inf"), 1e38])
def test_strengths_that_make_no_numbers_are_a_clear_sentence_and_the_next_run_works(model, norm):
    with pytest.raises(CoreError, match=r"no longer finite.*smaller strength"):
        whole(model, [made_edit((4.0,), norm=norm)])
    assert free_lock(model)
    assert whole(model).finished

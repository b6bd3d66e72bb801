"""Corpora: how many tokens there are, where they come from, and that what judges never trains."""

from dataclasses import replace

import numpy as np
import pytest

from core.activations.prompts import ReadSpec
from core.dataset.sets import ItemSpec, load_or_read
from core.models.open_models import ModelSpec, describe, open_model
from core.runtime.progress import Cancelled
from core.sae.training.corpora import CorpusError, CorpusSpec, Documents, make_corpus
from core.sae.training.sampled_text import sampled_documents
from tests.core.dataset.actiontable import write_actions

READ = ReadSpec()
LONG = CorpusSpec(items=20_000)  # several orders: the small alphabet needs many tokens


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    from core.runtime.store import Store

    return Store(tmp_path_factory.mktemp("store"))


@pytest.fixture(scope="module")
def tiny(root, tiny_llama_folder):
    return open_model(
        describe(ModelSpec("folder", str(tiny_llama_folder), device="cpu"), root), root
    )


@pytest.fixture(scope="module")
def items(root, tmp_path_factory):
    path = write_actions(tmp_path_factory.mktemp("tables") / "actions.csv", 200)
    return load_or_read(root, ItemSpec("file", path))


@pytest.fixture(scope="module")
def corpus(root, tiny, items):
    return make_corpus(root, tiny, items, READ, LONG)


def texts_of(tiny, documents):
    return [tiny.tokenizer.decode(row[1:]) for row in documents.tokens]


def test_tokens_are_positions_and_different_ones_are_counted(corpus):
    """Counted again the slow way: a position is a token with all before it."""
    rows = corpus.train.tokens
    assert corpus.train.positions == sum(len(row) - 1 for row in rows)
    told = corpus.facts()["train"]
    assert told["positions"] == told["positions_by_source"]["items"] == corpus.train.positions
    different = len({row[:end] for row in rows for end in range(2, len(row) + 1)})
    assert told["different_positions"] == different
    assert LONG.items <= different < LONG.items + 200  # whole documents only
    assert told["documents"] == told["different_documents"] == len(set(rows))


def test_each_training_action_stands_alone_once_and_then_in_changing_company(corpus, tiny, items):
    texts = np.array(items.texts(), dtype=object)
    train = sorted(set(texts[items.split == "train"]))
    told = texts_of(tiny, corpus.train)
    assert sorted(told[: len(train)]) == sorted(READ.prompt(text) for text in train)
    joined = told[len(train) :]
    for text in train[:20]:
        inside = [one for one in joined if f"{text}." in one]
        assert len(inside) >= 2
        assert len(set(inside)) == len(inside)  # another neighbourhood each time
    test = set(texts[items.split == "test"])
    assert corpus.texts == {"items train": len(train), "items held out": len(test)}


def test_a_set_that_has_no_more_to_give_says_so(root, tiny, items):
    texts = np.array(items.texts(), dtype=object)
    few = [*np.flatnonzero(items.split == "train")[:3], *np.flatnonzero(items.split == "test")[:3]]
    assert len(set(texts[few])) == 6
    with pytest.raises(CorpusError, match="hold only"):
        make_corpus(root, tiny, items.take(np.array(few)), READ, LONG)


def test_no_held_out_text_trains(corpus, tiny, items):
    texts = np.array(items.texts(), dtype=object)
    train, test = (set(texts[items.split == name]) for name in ("train", "test"))
    trained, judging = texts_of(tiny, corpus.train), texts_of(tiny, corpus.held_out)
    whole = "\n".join(trained)
    assert not [text for text in test - train if f"{text}." in whole or f"{text} is" in whole]
    found = [text for text in test if any(text in one for one in judging)]
    assert len(found) == len(test)
    # A held-out action stands in one document only, so documents are independent.
    assert all(sum(f"{text}." in one for one in judging) <= 1 for text in sorted(test)[:40])


def test_the_check_would_see_a_leak(corpus, tiny, items):
    """Control: the same look finds validation texts once they are put into training documents."""
    texts = np.array(items.texts(), dtype=object)
    leaked = sorted(set(texts[items.split == "validation"]))[0]
    whole = "\n".join([*texts_of(tiny, corpus.train), f"{leaked}. More."])
    assert f"{leaked}." in whole
    assert f"{leaked}." not in "\n".join(texts_of(tiny, corpus.train))


def test_the_same_seed_gives_the_same_documents(corpus, root, tiny, items):
    again = make_corpus(root, tiny, items, READ, LONG)
    other = make_corpus(root, tiny, items, READ, replace(LONG, seed=1))
    assert again.train.digest == corpus.train.digest
    assert other.train.digest != corpus.train.digest


def test_written_text_starts_from_its_own_split_and_is_kept(root, tiny, items, monkeypatch):
    spec = CorpusSpec(items=0, sampled=600, length=32)
    corpus = make_corpus(root, tiny, items, READ, spec)
    texts = np.array(items.texts(), dtype=object)
    splits = [set(texts[items.split == name]) for name in ("train", "test")]
    for documents, own in zip((corpus.train, corpus.held_out), splits, strict=True):
        started = [one for one in texts_of(tiny, documents) if "." in one]
        known = [one for one in started if any(one.startswith(f"{text}.") for text in own)]
        assert known
    assert set(corpus.train.tokens).isdisjoint(corpus.held_out.tokens)
    monkeypatch.setattr(
        "core.sae.training.sampled_text._write", None
    )  # written once: called again it fails
    again = make_corpus(root, tiny, items, READ, spec)
    assert again.train.digest == corpus.train.digest


def test_writing_goes_on_from_the_batches_that_were_finished(store, tiny, monkeypatch):
    monkeypatch.setattr("core.sae.training.sampled_text.ROWS", 4)
    starts = [[1]] * 12
    calls = []

    def report(done, total, note):
        calls.append(done)
        if done > 50:
            raise Cancelled

    with pytest.raises(Cancelled):
        sampled_documents(store, tiny, starts, 10, 0, report)
    calls.clear()
    whole = sampled_documents(store, tiny, starts, 10, 0, lambda done, *_: calls.append(done))
    assert min(calls) > 36  # the first batch of 4 documents was not written again
    assert len(whole) == 12
    assert all(row[0] == 1 and 1 < len(row) <= 10 for row in whole)


def test_a_batch_does_not_change_what_a_document_begins_with(store, tiny):
    """Rows of unlike length are padded on the left: each goes on from its own last token."""
    starts = [[1, 40, 41], [1], [1, 50, 51, 52, 53]]
    whole = sampled_documents(store, tiny, starts, 12, 0)
    assert [row[: len(start)] for row, start in zip(whole, starts, strict=True)] == starts


def test_a_text_file_is_cut_and_its_end_judges(root, tiny, items, tmp_path):
    path = tmp_path / "own.txt"
    path.write_text("\n".join(f"Sentence number {n} tells of {n * n} birds." for n in range(300)))
    spec = CorpusSpec(items=0, file=path, length=32)
    corpus = make_corpus(root, tiny, items, READ, spec)
    train, judging = ("".join(texts_of(tiny, one)) for one in (corpus.train, corpus.held_out))
    assert path.read_text().startswith(train[:2000])
    assert path.read_text().endswith(judging[-200:])
    share = corpus.held_out.positions / (corpus.train.positions + corpus.held_out.positions)
    assert share == pytest.approx(0.1, abs=0.02)
    assert all(len(row) <= 32 and row[0] == 1 for row in corpus.train.tokens)
    assert spec.key(items, READ)["file"] != replace(spec, file=None, items=1).key(items, READ)


def test_a_held_out_document_that_also_trains_is_left_out(root, tiny, items, tmp_path):
    path = tmp_path / "same.txt"
    path.write_text("la " * 4000)
    corpus = make_corpus(root, tiny, items, READ, CorpusSpec(items=0, file=path, length=32))
    assert len(corpus.held_out.tokens) == 1  # the last piece, which is shorter than all others
    assert set(corpus.held_out.tokens).isdisjoint(corpus.train.tokens)


@pytest.mark.parametrize(
    ("content", "words"),
    [(b"\xff\xfe\x00broken\xff", "not UTF-8"), (b"", "has 0 bytes"), (None, "no text file")],
)
def test_files_that_are_no_text_are_refused(root, tiny, items, tmp_path, content, words):
    path = tmp_path / "bad.txt"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(CorpusError, match=words):
        make_corpus(root, tiny, items, READ, CorpusSpec(items=0, file=path))


def test_specs_that_cannot_be_are_refused():
    with pytest.raises(CorpusError, match="nothing to train on"):
        CorpusSpec(items=0)
    with pytest.raises(CorpusError, match="cannot be had"):
        CorpusSpec(items=-1)
    with pytest.raises(CorpusError, match="16 to 512"):
        CorpusSpec(length=4)


def test_a_set_without_test_actions_is_refused(root, tiny, items):
    rest = items.take(items.split != "test")
    with pytest.raises(CorpusError, match="0 test actions"):
        make_corpus(root, tiny, rest, READ, LONG)


def test_sources_can_be_taken_apart_again():
    mixed = Documents(((1, 2), (1, 3), (4, 5, 6)), ("items", "items", "file"))
    items_part, file_part = mixed.parts()
    assert items_part.tokens == ((1, 2), (1, 3))
    assert (file_part.tokens, file_part.sources) == (((4, 5, 6),), ("file",))

"""What tests of steering share: small balanced tables, open tiny models, made directions."""

import itertools
import random

import numpy as np
import torch

from core.activations.extraction import load_or_extract
from core.activations.prompts import ReadSpec
from core.activations.study import open_study
from core.dataset.sets import ItemSpec, load_or_read
from core.foundations import FOUNDATIONS
from core.models.open_models import ModelSpec, describe, open_model
from core.runtime.store import Store
from core.steering.directions import Direction
from core.steering.edits import LayerEdit
from tests.conftest import TINY_LAYERS, TINY_WIDTH, _byte_tokenizer, _save_tiny

VERBS = ["help", "rob", "praise", "mock", "feed", "leave", "thank", "cheat", "greet", "hide"]
WHOM = ["a friend", "the judge", "my neighbour", "an old man", "the team", "some child", "a guest"]
WHEN = ["", " today", " at night", " at work", " on Sunday", " in May"]
TEXTS = [f"{verb} {whom}{when}" for verb, whom, when in itertools.product(VERBS, WHOM, WHEN)]


def balanced_rows(texts=TEXTS, foundations=FOUNDATIONS):
    """Return a row per text: poles and foundations take turns, all of full agreement."""
    shuffled = random.Random(3).sample(texts, len(texts))
    return [
        (text, foundations[number % len(foundations)], (2, -2, 0)[number // 5 % 3], 4)
        for number, text in enumerate(shuffled)
    ]


def read_table(store, rows, name="table"):
    store.root.mkdir(parents=True, exist_ok=True)
    path = store.root.parent / f"{name}.tsv"
    lines = ["action\tfoundation\tjudgement\tagreement"]
    path.write_text("\n".join(lines + ["\t".join(map(str, row)) for row in rows]) + "\n")
    return load_or_read(store, ItemSpec("file", path))


def opened(folder, tmp_path_factory):
    store = Store(tmp_path_factory.mktemp("store"))
    return open_model(describe(ModelSpec("folder", str(folder), device="cpu"), store), store)


def bloom_folder(tmp_path_factory):
    """Return the folder of a random Bloom: its layers give tuples, its positions are the mask's."""
    from transformers import BloomConfig

    tokenizer = _byte_tokenizer(bos=True)
    config = BloomConfig(
        vocab_size=len(tokenizer),
        hidden_size=TINY_WIDTH,
        n_layer=TINY_LAYERS,
        n_head=4,
        bos_token_id=1,
        eos_token_id=2,
        pad_token_id=0,
    )
    return _save_tiny(tmp_path_factory.mktemp("models") / "tiny-bloom", config, tokenizer)


def read_by(model, tmp_path_factory, rows=None):
    """Return a store and a study that a model has read."""
    store = Store(tmp_path_factory.mktemp("study") / "store")
    items = read_table(store, rows or balanced_rows())
    made = open_study(items, model.card, ReadSpec())
    load_or_extract(store, made.plan, lambda: model)
    return store, made


def made_direction(seed=0, layer=1, width=32, model="", name="made"):
    vector = np.random.default_rng(seed).normal(size=width)
    unit = (vector / np.linalg.norm(vector)).astype(np.float32)
    return Direction(name, unit, model, layer, f"made {seed}")


def made_edit(strengths=(0.5,), operation="add", layer=1, norm=10.0, seed=0, width=32):
    """Return an edit of random, so not orthogonal, directions."""
    directions = tuple(
        made_direction(seed + number, layer, width) for number in range(len(strengths))
    )
    return LayerEdit(layer, directions, tuple(strengths), norm, operation)


def plain_logits(model, ids):
    """Return the logits of one text by transformers alone, ``(tokens, vocabulary)``, float64."""
    with model.lock, torch.no_grad():
        return model.module(torch.tensor([list(ids)])).logits[0].double()

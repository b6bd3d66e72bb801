"""Made models for tests of comparisons: a set of a few words, states planted by hand."""

import random

import numpy as np

from core.activations.prompts import ReadSpec
from core.activations.study import open_study
from core.dataset.sets import ItemSpec, load_or_read
from core.foundations import FOUNDATIONS
from tests.core.models.madecards import made_card

READ = ReadSpec(poolings=("mean", "last"))
WIDTH = 16
WORDS = ("one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")


def worded_rows(n=150, seed=0, head=""):
    """Return rows of few words with a foundation, a judgement and an agreement; each text once."""
    draw = random.Random(seed)
    rows = {}
    for number in range(n):
        text = head + " ".join(draw.sample(WORDS, 3)) + f" {number % 7}"
        foundation = draw.choice(FOUNDATIONS)
        rows[text] = (text, foundation, draw.choice((-2, -1, 0, 1, 2)), draw.choice((2, 4)))
    return list(rows.values())


def set_of(store, rows, name="table"):
    """Return rows as a set of items."""
    path = store.root.parent / f"{name}.tsv"
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = ["action\tfoundation\tjudgement\tagreement"]
    path.write_text("\n".join(lines + ["\t".join(map(str, row)) for row in rows]) + "\n")
    return load_or_read(store, ItemSpec("file", path, name=name))


def noise(study, layer, seed=0):
    """Return states that know nothing of the labels."""
    rng = np.random.default_rng([seed, layer + 1])
    return rng.normal(size=(len(study.plan.prompts), study.card.d_model))


def planted(study, layer, seed=0, strength=2.0):
    """Return noise with a direction per pole, the grade being its dose; deeper layers have more."""
    rng = np.random.default_rng(seed)
    own = rng.normal(size=(11, study.card.d_model))
    own[-1] = 0
    dose = study.labels.grade[:, None] * own[study.labels.dimension]
    sums = np.zeros((len(study.plan.prompts), study.card.d_model))
    np.add.at(sums, study.plan.rows, dose)
    share = (layer + 1) / study.card.n_layers
    return noise(study, layer, seed) + strength * share * sums


def made_study(store, items, states=noise, *, name="made", layers=3, width=WIDTH, read=READ):
    """Return a study whose layers hold made states, the same for all poolings.

    Args:
        states: Called with the study and a layer; returns ``(n_prompts, width)``.
    """
    made = open_study(items, made_card(name, layers, width), read)
    for layer in made.plan.layers:
        values = np.asarray(states(made, layer), np.float32)
        for pooling in read.poolings:
            store.save_array("acts", made.plan.key(layer, pooling), values)
    return made

"""The commands about dictionaries: ``dictionary train``, ``list`` and ``report``."""

import argparse
import json
import shlex
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Final, get_args

from core.activations.study import Study
from core.cli.arguments import add_items, add_json, request_of
from core.cli.desk import Desk, card_of, study_of
from core.features.jobs import bring, foreign_report
from core.models.spec import ModelSpec
from core.sae.dictionary import Dictionary, DictionaryError
from core.sae.releases import FORMS, DictionarySpec
from core.sae.shelf import Shelved, find_shelved, shelved
from core.sae.training.corpora import CorpusSpec
from core.sae.training.foreign_report import ForeignReport
from core.sae.training.jobs import plan_of, training
from core.sae.training.reconstruction_report import ReconstructionReport
from core.sae.training.spec import TrainActivation, TrainSpec, paper_spec
from core.sae.training.trained import KeptDictionary, export_dictionary, training_of
from core.wording import (
    SHOWN_DIGITS,
    Lines,
    aligned,
    bytes_text,
    duration,
    facts,
    interval,
    number,
)
from core.workbench import BUILTIN as BUILTIN_SET

#: Adds a command to a group of commands, as ``__main__`` does.
AddCommand = Callable[[Any, str, Any, str, str, str], argparse.ArgumentParser]

_OPTIONS: Final = ("width", "k", "activation", "batch", "epochs", "lr", "seed")
_ARMS: Final = {
    "dictionary": "dictionary, held-out tokens",
    "items": "dictionary, held-out actions",
    "sampled": "dictionary, held-out written text",
    "file": "dictionary, held-out end of the file",
    "training": "dictionary, tokens it was trained on",
    "components": "control: principal components",
    "random": "control: random directions",
    "mean": "control: mean state",
    "zero": "control: zero",
}


def train(desk: Desk, args: argparse.Namespace) -> Lines:
    """Train a dictionary, or find it stored, and tell what it is worth.

    Raises:
        CoreError: It cannot be trained as asked.
    """
    study = study_of(desk, request_of(args))
    bench, spec = desk.work, _spec(args, study.card.d_model)
    made = training(bench, plan_of(study, _corpus(args), spec, args.layer))
    if made.has() and not args.json:
        yield "This dictionary was trained before: nothing to do."
    kept = desk.make(made)
    yield from _shown(kept, as_json=args.json)
    if args.out is not None:
        command = "python -m core " + shlex.join(args.words)
        export_dictionary(kept, args.out, command)
        if not args.json:
            yield f"Wrote it to {args.out}, matrices in bfloat16."


def list_all(desk: Desk, args: argparse.Namespace) -> Lines:
    """List the dictionaries of a model."""
    card = card_of(desk, ModelSpec.parse(args.model))
    known = shelved(desk.work.store, card)
    if not known:
        yield f"{card.name} has no dictionary yet. Train one: python -m core dictionary train MODEL"
        return
    head = ("digest", "layer", "latents", "rule", "k", "FVU", "L0", "dead", "size", "tokens")
    yield from aligned(head, [_row(one) for one in known], left=(0, 3))


def _row(one: Shelved) -> tuple[str, ...]:
    kept, size = training_of(one), bytes_text(one.size)
    start = (one.digest[:SHOWN_DIGITS], str(one.layer), f"{one.n_latents:,}")
    if kept is None:
        return (*start, "brought", "–", "–", "–", "–", size, "–")
    own = kept.report.fits["dictionary"]
    return (
        *start,
        kept.spec.activation,
        str(kept.spec.k),
        number(own.fvu.value, 3),
        f"{own.l0.value:.1f}",
        f"{100 * kept.report.dead:.0f} %",
        size,
        f"{kept.corpus['train']['different_positions']:,}",
    )


def report(desk: Desk, args: argparse.Namespace) -> Lines:
    """Tell what a dictionary is worth; one from elsewhere is measured the first time.

    Raises:
        CoreError: There is no such dictionary, or it cannot be measured.
    """
    card = card_of(desk, ModelSpec.parse(args.model))
    if ":" not in args.dictionary:
        kept = training_of(find_shelved(desk.work.store, card, args.dictionary))
        if kept is not None:
            yield from _shown(kept, as_json=args.json)
            return
    study = study_of(desk, request_of(args))
    dictionary = dictionary_of(desk, study, args.dictionary)
    found = desk.make(foreign_report(desk.work, study, dictionary))
    yield from _judged(dictionary, study, found, as_json=args.json)


def dictionary_of(desk: Desk, study: Study, name: str) -> Dictionary:
    """Return a dictionary at hand, or load and keep the one that a spec names.

    Args:
        desk: Where the command works.
        study: Items and model.
        name: ``builtin``, first digits of an artefact's name, or a spec such as ``folder:/here``.

    Raises:
        CoreError: There is none, it cannot be loaded, or belongs to another model.
    """
    if ":" not in name:
        try:
            return find_shelved(desk.work.store, study.card, name).load()
        except DictionaryError as error:
            raise DictionaryError(f"{error} Or name one to load: {FORMS}.") from error
    brought: str = desk.watch(bring(desk.work, study, DictionarySpec.parse(name)))
    return find_shelved(desk.work.store, study.card, brought).load()


def _shown(kept: KeptDictionary, *, as_json: bool) -> Lines:
    """Yield the report of a dictionary trained here as text or as one JSON object."""
    if not as_json:
        yield from _told(kept)
        return
    about = {
        "digest": kept.shelved.digest,
        "name": kept.shelved.name,
        "layer": kept.shelved.layer,
        "spec": asdict(kept.spec),
        "corpus": dict(kept.corpus),
        "seconds": kept.seconds,
    }
    yield json.dumps(about | kept.report.json(), indent=1)


def _told(kept: KeptDictionary) -> Lines:
    """Yield the report of a dictionary trained here as text."""
    train, held_out = kept.corpus["train"], kept.corpus["held_out"]
    different = train["different_positions"]
    yield from facts(
        {
            "dictionary": kept.shelved.name,
            "digest": kept.shelved.digest,
            "trained on": f"{_size(train)}, {different:,} of them different with all before them",
            "texts": ", ".join(f"{count:,} {name}" for name, count in kept.corpus["texts"].items()),
            "judged on": f"{_size(held_out)} that share no text with training",
            "dead": f"{100 * kept.report.dead:.1f} % of latents are on at none of these; "
            f"{100 * kept.curve[-1].dead:.1f} % at none of the last "
            f"{kept.spec.dead_after:,} of training",
            "took": duration(kept.seconds),
            "size": bytes_text(kept.shelved.size),
        }
    )
    yield from _figures(kept.report)


def _judged(dictionary: Dictionary, study: Study, worth: ForeignReport, *, as_json: bool) -> Lines:
    """Yield the report of a dictionary from elsewhere."""
    info, set_name = dictionary.info, study.items.provenance.name
    if as_json:
        about = {
            "digest": dictionary.digest,
            "name": info.name,
            "layer": info.layer,
            "items": study.items.digest,
            "corpus": dict(worth.corpus),
        }
        yield json.dumps(about | worth.report.json(), indent=1)
        return
    yield from facts(
        {
            "dictionary": f"{info.name}, layer {info.layer}, {dictionary.n_latents:,} latents",
            "weights": dictionary.digest,
            "judged on": f"{_size(worth.corpus['held_out'])}: held-out actions of {set_name}; "
            "whether its training saw them is not known here",
            "controls": f"fitted on {_size(worth.corpus['train'])} of training actions",
            "dead": f"{100 * worth.report.dead:.1f} % of latents are on at none of these",
        }
    )
    yield from _figures(worth.report)


def _size(about: Mapping[str, Any]) -> str:
    return f"{about['positions']:,} tokens in {about['documents']:,} documents"


def _figures(found: ReconstructionReport) -> Lines:
    """Yield fits and costs beside their controls."""
    yield ""
    rows = [
        (_ARMS[name], interval(fit.fvu, 3), interval(fit.equal, 3), interval(fit.l0, 3))
        for name, fit in found.fits.items()
    ]
    head = ("", "variance missed", "every coordinate equal", "latents on")
    yield from aligned(head, rows, left=(0,))
    yield ""
    plain = interval(found.costs.plain, 3)
    yield f"Cross-entropy {plain} nats per token, {found.costs.tokens:,} predictions."
    costs = [
        (_ARMS[name], interval(cost, 3), number(found.costs.recovered(name), 3))
        for name, cost in found.costs.added.items()
    ]
    yield from aligned(("read instead of the layer", "added", "recovered"), costs, left=(0,))


# --- from words to what they mean ---


def add_commands(top: Any, add: AddCommand) -> None:
    """Add the commands to those of ``python -m core``.

    Args:
        top: Where commands are added.
        add: Adds one: to what, name, what it does, summary, example, words before its name.
    """
    summary = "train dictionaries (sparse autoencoders) of a layer, list them, judge them"
    own = top.add_parser("dictionary", help=summary).add_subparsers(
        metavar="COMMAND", required=True
    )
    told = "train a dictionary on a layer's tokens; stopped, the same command goes on"
    one = add(own, "train", train, told, "packaged --sampled 50000", "dictionary ")
    one.add_argument("model", metavar="MODEL")
    add_items(one)
    add_options(one)
    told = "list the dictionaries of a model"
    one = add(own, "list", list_all, told, "packaged", "dictionary ")
    one.add_argument("model", metavar="MODEL")
    told = "tell what a dictionary is worth on held-out tokens, beside its controls"
    one = add(own, "report", report, told, "packaged builtin", "dictionary ")
    one.add_argument("model", metavar="MODEL")
    one.add_argument(
        "dictionary",
        metavar="DICT",
        help=f"'builtin', digits of a digest (see 'dictionary list'), or {FORMS}",
    )
    told = "whose held-out actions judge one from elsewhere; default: builtin"
    one.add_argument("--items", default=BUILTIN_SET, metavar="SET", help=told)
    add_json(one)


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``dictionary train``."""
    plain, corpus = TrainSpec(), CorpusSpec()
    parser.add_argument("--layer", type=int, metavar="N", help="default: the middle layer")
    parser.add_argument(
        "--preset",
        choices=("default", "paper"),
        default="default",
        help="'paper': ReLU with adaptive L1, 4 times the model's width, 100 epochs",
    )
    parser.add_argument("--activation", choices=get_args(TrainActivation))
    for name, kind, meaning in (
        ("width", int, "latents"),
        ("k", int, "latents on per token"),
        ("batch", int, "tokens per step"),
        ("epochs", int, "passes over the tokens"),
        ("lr", float, "highest learning rate"),
        ("seed", int, "seed of everything random"),
    ):
        parser.add_argument(
            f"--{name}", type=kind, help=f"{meaning}; default: {getattr(plain, name)}"
        )
    for option, name, meaning in (
        (
            "tokens",
            "items",
            "tokens of the set's training actions, in documents of many orders",
        ),
        (
            "sampled",
            "sampled",
            "tokens that the model writes itself, some 100 per second on a CPU",
        ),
        ("text-tokens", "file_tokens", "tokens taken from the text file at most"),
    ):
        default = getattr(corpus, name)
        help_text = f"{meaning}; default: {default:,}"
        parser.add_argument(f"--{option}", type=int, default=default, metavar="N", help=help_text)
    parser.add_argument("--text", type=Path, metavar="FILE", help="besides, a UTF-8 text file")
    parser.add_argument(
        "--out",
        type=Path,
        metavar="FOLDER",
        help="write it there too, matrices in bfloat16",
    )
    add_json(parser)


def _corpus(args: argparse.Namespace) -> CorpusSpec:
    return CorpusSpec(
        items=args.tokens,
        sampled=args.sampled,
        file=args.text,
        file_tokens=args.text_tokens,
        seed=args.seed or 0,
    )


def _spec(args: argparse.Namespace, d_model: int) -> TrainSpec:
    base = paper_spec(d_model) if args.preset == "paper" else TrainSpec()
    chosen = {name: getattr(args, name) for name in _OPTIONS if getattr(args, name) is not None}
    if args.preset == "paper" and "epochs" in chosen:
        base = paper_spec(d_model, epochs=chosen["epochs"])
    return replace(base, **chosen)

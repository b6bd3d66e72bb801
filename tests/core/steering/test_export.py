"""Files of a run: the script repeats it without Moralscope, Markdown tells it."""

import io
import re
import shutil
import subprocess
import sys
import zipfile
from dataclasses import replace

import pytest
import torch

from core.activations.decoding import Decoding, end_tokens
from core.models.tokenizers import appended
from core.sae.files import load_folder
from core.steering.directions import Direction
from core.steering.edits import LayerEdit
from core.steering.export import bundle_bytes, markdown, script
from core.steering.generation import write
from core.steering.history import Run, run_of
from core.steering.recipes import Recipe, RecipeError, Term
from tests.core.sae.saesets import made_dictionary
from tests.core.steering.steeringsets import bloom_folder, made_edit, opened

PROMPT = "helping a friend who"
#: Loads what every script imports, for seconds, once; then runs each in a process of its own.
_HOST = """
import os, runpy, sys
import nnsight, torch
from transformers import AutoModelForCausalLM, AutoTokenizer, BloomForCausalLM, LlamaForCausalLM
for line in sys.stdin:
    child = os.fork()
    if child == 0:
        os.chdir(line[:-1])
        sys.stdout, sys.stderr = open("out.txt", "w"), open("errors.txt", "w")
        runpy.run_path("repeat.py", run_name="__main__")
        sys.stdout.flush()
        os._exit(0)  # an end in good order takes as long as the script
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


@pytest.fixture(scope="module")
def repeat(tmp_path_factory):
    """Return a function that runs the script in a folder and returns what it prints."""
    host = subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", _HOST],
        cwd=tmp_path_factory.mktemp("host"),  # where nothing of Moralscope can be imported
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        bufsize=1,
    )

    def run(folder):
        host.stdin.write(f"{folder}\n")
        code = host.stdout.readline()
        assert code == "0\n", (folder / "errors.txt").read_text()
        return (folder / "out.txt").read_text()

    with host:
        yield run


def made_run(operation="add", positions="not first", prompt=PROMPT, **fields):
    recipe = Recipe(
        "folder:/x",
        "folder:abc",
        "f" * 64,
        "{action} is morally",
        (1,),
        (Term("care-harm", 0.5),),
        positions=positions,
        operation=operation,
        decoding=Decoding(tokens=8, temperature=0, samples=1),
    )
    return Run(recipe, prompt, ("one\ntwo",), ("three",), 3, 8, **fields)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("operation", "positions", "strengths"),
    [
        ("add", "not first", (3.0,)),
        ("add", "generated", (3.0, -2.0)),
        ("set", "all", (2.0, -1.0)),
        ("project out", "generated", (1.0, 0.5)),
    ],
)
def test_the_script_writes_the_same_text(
    operation, positions, strengths, llama, tiny_llama_folder, tmp_path, repeat
):
    edits = [
        made_edit(strengths, operation, layer=1),
        made_edit((2.0,), operation, layer=2, seed=5),
    ]
    assert_repeats(
        repeat, llama, tiny_llama_folder, made_run(operation, positions), edits, tmp_path
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    ("rule", "positions", "strengths"),
    [
        ({"activation": "topk", "k": 4, "centred": True}, "not first", (4.0, 0.0)),
        ({"activation": "relu"}, "generated", (3.0,)),
        ({"activation": "jumprelu"}, "all", (0.0, 2.0)),
    ],
)
def test_the_script_of_latents_that_are_set_writes_the_same_text(
    rule, positions, strengths, llama, tiny_llama_folder, tmp_path, repeat
):
    edit = clamping(strengths, rule)
    assert_repeats(repeat, llama, tiny_llama_folder, made_run("clamp", positions), [edit], tmp_path)
    kept = load_folder(tmp_path / "dictionary")
    assert kept.digest == edit.dictionary.digest  # and any program of SAELens opens it


def clamping(strengths, rule):
    """Return an edit that sets latents of a random dictionary, of which half are on."""
    made = made_dictionary(n_latents=40, k=4)
    fields = {"k": None, "centred": False, **rule}
    threshold = torch.linspace(0, 0.5, 40) if rule["activation"] == "jumprelu" else None
    made = replace(
        made,
        info=replace(made.info, **fields),
        w_dec=made.w_dec * torch.linspace(0.5, 2, 40)[:, None],
        threshold=threshold,
    )
    latents = tuple(range(7, 7 + len(strengths)))
    directions = tuple(
        Direction(f"latent {one}", made.direction(one), "", 1, "") for one in latents
    )
    return LayerEdit(1, directions, strengths, 10.0, "clamp", made, latents)


def test_a_latent_set_to_another_value_writes_another_text(llama):
    rule = {"activation": "topk", "k": 4, "centred": True}
    run = made_run("clamp")
    texts = {
        list(write(llama, PROMPT, [clamping(one, rule)], "not first", run.recipe.decoding))[
            -1
        ].steered
        for one in ((4.0, 0.0), (0.0, 0.0))
    }
    assert len(texts) == 2  # else the scripts above would agree whatever they did


def assert_repeats(repeat, model, folder, run, edits, tmp_path):
    """Write a run's text, let its script write it again, and compare."""
    recipe = run.recipe
    last = list(write(model, run.prompt, edits, recipe.positions, recipe.decoding))[-1]
    behind = len(appended(model.tokenizer))
    packed = bundle_bytes(run, edits, str(folder), model.layers, end_tokens(model), behind=behind)
    with zipfile.ZipFile(io.BytesIO(packed)) as bundle:
        bundle.extractall(tmp_path)
    assert repeat(tmp_path).removesuffix("\n") == last.steered[0]
    assert last.changed_tokens > 0  # else any script would do


@pytest.mark.slow
def test_the_script_of_a_model_whose_layers_give_tuples_writes_the_same_text(
    tmp_path, tmp_path_factory, repeat
):
    folder = bloom_folder(tmp_path_factory)
    edits = [made_edit((4.0,), layer=2, norm=300.0)]
    assert_repeats(repeat, opened(folder, tmp_path_factory), folder, made_run(), edits, tmp_path)


@pytest.mark.slow
def test_the_script_of_a_chat_writes_the_same_text(
    tiny_llama_folder, tmp_path, tmp_path_factory, repeat
):
    folder = tmp_path_factory.mktemp("models") / "chat"
    shutil.copytree(tiny_llama_folder, folder)
    (folder / "chat_template.jinja").write_text("<s>U: {{ messages[0].content }}\nA:")
    run = made_run(prompt="Hi\x00 you")
    decoding = replace(run.recipe.decoding, chat=True)
    run = replace(run, recipe=replace(run.recipe, decoding=decoding))
    edits = [made_edit((3.0,), layer=1)]
    assert_repeats(repeat, opened(folder, tmp_path_factory), folder, run, edits, tmp_path)


@pytest.mark.slow
def test_the_script_of_a_tokenizer_that_appends_an_end_writes_the_same_text(
    tiny_llama_folder, tmp_path, tmp_path_factory, repeat
):
    from tokenizers import processors
    from transformers import AutoTokenizer

    folder = tmp_path_factory.mktemp("models") / "ending"
    shutil.copytree(tiny_llama_folder, folder)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokenizer.backend_tokenizer.post_processor = processors.TemplateProcessing(
        "<s> $A </s>", special_tokens=[("<s>", 1), ("</s>", 2)]
    )
    tokenizer.save_pretrained(folder)
    edits = [made_edit((3.0,), layer=1)]
    assert_repeats(repeat, opened(folder, tmp_path_factory), folder, made_run(), edits, tmp_path)


def test_the_bundle_holds_script_directions_and_run():
    run = made_run(note="mine")
    edits = [made_edit((0.5, 0.1), layer=1)]
    packed = bundle_bytes(run, edits, "somewhere", "model.layers", {2})
    with zipfile.ZipFile(io.BytesIO(packed)) as bundle:
        names = set(bundle.namelist())
        assert names == {"repeat.py", "run.json", "0-1.safetensors", "1-1.safetensors"}
        assert run_of(bundle.read("run.json").decode()) == run
        compile(bundle.read("repeat.py"), "repeat.py", "exec")


def test_a_spliced_run_gets_no_script_that_would_change_nothing():
    base = made_dictionary()
    edit = LayerEdit(1, (), (1.0,), 5.0, "align", base, before=base)
    with pytest.raises(RecipeError, match="splices an aligned dictionary"):
        bundle_bytes(made_run(), [edit], "model", "model.layers", set())


@pytest.mark.parametrize("prompt", ['"""', "a\\n'b", "{x}", "é\n\u2028"])
def test_any_prompt_leaves_the_script_valid(prompt):
    text = script(replace(made_run(), prompt=prompt), [made_edit()], "m", "model.layers", {1})
    names: dict = {}
    line = next(one for one in text.split("\n") if one.startswith("PROMPT"))
    exec(line, names)
    assert names["PROMPT"] == prompt
    compile(text, "repeat.py", "exec")


def test_markdown_tells_texts_doses_and_note():
    text = markdown(made_run(note="worth a look"))
    assert "care-harm +0.5" in text
    assert "> one\n> two" in text
    assert "> three" in text
    assert text.endswith("worth a look\n")
    assert "tokens changed: 3" in text


@pytest.mark.parametrize("end", ["\n", "\r", "\r\n", "\x0b", "\x85", "\u2028"])
def test_no_text_of_a_run_leaves_its_quotation(end):
    evil = f"a{end}# Heading{end}<script>alert(1)</script>{end}[x](javascript:alert(1))"
    run = made_run(prompt=evil)
    recipe = replace(run.recipe, model=f"folder:{evil}", terms=(Term(f"care{evil}", 0.5),))
    text = markdown(replace(run, recipe=recipe, plain=(evil,), steered=(evil,)))
    for line in text.splitlines():
        if not line.startswith("> "):
            assert line.startswith("# ") == (line == "# Steered run")
    assert not re.search(r"(?<!\\)[<\[]", text)  # neither HTML nor a link of its own
    quoted = [line for line in text.splitlines() if line.startswith("> ")]
    assert any("alert(1)" in line for line in quoted)  # told, not lost


def test_markdown_of_a_run_without_anything_is_whole():
    run = made_run()
    text = markdown(replace(run, recipe=replace(run.recipe, terms=()), plain=("",), steered=("",)))
    assert "directions: none" in text
    assert "None" not in text

"""Files of a run: the script repeats it without Moralscope, Markdown tells it."""

import io
import json
import subprocess
import sys
import zipfile
from dataclasses import replace

import pytest

from core.generation import end_tokens, write
from core.history import Run, run_of
from core.recipes import Decoding, Recipe, Term
from core.runfiles import bundle_bytes, markdown, script
from tests.core.steeringsets import made_edit, opened

PROMPT = "helping a friend who"


@pytest.fixture(scope="module")
def llama(tiny_llama_folder, tmp_path_factory):
    return opened(tiny_llama_folder, tmp_path_factory)


def made_run(operation="add", positions="not first", **fields):
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
    return Run(recipe, PROMPT, ("one\ntwo",), ("three",), 3, 8, **fields)


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
    operation, positions, strengths, llama, tiny_llama_folder, tmp_path
):
    run = made_run(operation, positions)
    edits = [
        made_edit(strengths, operation, layer=1),
        made_edit((2.0,), operation, layer=2, seed=5),
    ]
    last = list(write(llama, PROMPT, edits, positions, run.recipe.decoding))[-1]
    packed = bundle_bytes(run, edits, str(tiny_llama_folder), llama.layers, end_tokens(llama))
    with zipfile.ZipFile(io.BytesIO(packed)) as bundle:
        bundle.extractall(tmp_path)
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "repeat.py"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.removesuffix("\n") == last.steered[0]
    assert last.changed_tokens > 0  # else any script would do


def test_the_bundle_holds_script_directions_and_run():
    run = made_run(note="mine")
    edits = [made_edit((0.5, 0.1), layer=1)]
    packed = bundle_bytes(run, edits, "somewhere", "model.layers", {2})
    with zipfile.ZipFile(io.BytesIO(packed)) as bundle:
        names = set(bundle.namelist())
        assert names == {"repeat.py", "run.json", "0-1.safetensors", "1-1.safetensors"}
        assert run_of(bundle.read("run.json").decode()) == run
        compile(bundle.read("repeat.py"), "repeat.py", "exec")


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
    assert json.dumps("tokens changed: 3")[1:-1] in text

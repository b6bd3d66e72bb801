"""A run as files for others: Markdown, and a Python script that repeats it with nnsight alone."""

import io
import re
import tempfile
import zipfile
from pathlib import Path
from typing import Final

from core.sae.dictionary import Dictionary
from core.sae.files import save_folder
from core.steering.directions import direction_bytes
from core.steering.edits import LayerEdit
from core.steering.history import Run, run_json
from core.steering.recipes import RecipeError

#: Folder of the dictionary in a bundle, in the format of SAELens.
DICTIONARY: Final = "dictionary"
_SCRIPT: Final = '''"""Repeats a steered run of Moralscope: pip install nnsight transformers.

Run it where it lies, with {beside} beside it. It takes the likeliest token; samples
of a temperature above 0 would draw other random numbers than Moralscope does.
"""

{imports}import torch
from nnsight import TransformersModel
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer

MODEL = {model!r}  # a folder or a hub id
PROMPT = {prompt!r}
EDITS = {edits!r}  # layer: {meaning}, their strengths, residual norm
OPERATION, POSITIONS, TOKENS, CHAT = {operation!r}, {positions!r}, {tokens}, {chat}

tokenizer = AutoTokenizer.from_pretrained(MODEL)
module = AutoModelForCausalLM.from_pretrained(MODEL, dtype=torch.float32).eval()
model = TransformersModel(module, tokenizer=tokenizer, task="text-generation")
layers = model.get({layers!r})
text = PROMPT
if CHAT:
    said = [{{"role": "user", "content": PROMPT}}]
    text = tokenizer.apply_chat_template(said, add_generation_prompt=True, tokenize=False)
ids = tokenizer(text, return_tensors="pt", add_special_tokens=not CHAT)["input_ids"]{cut}
start = ids.shape[1]

{change}

def edited(output, names, strengths, norm):
    hidden, *rest = output if isinstance(output, tuple) else (output,)
    moved = hidden + change(hidden, names, torch.tensor(strengths), norm)
    untouched = {{"all": 0, "not first": 1, "generated": start - 1}}[POSITIONS]
    moved[:, :untouched] = hidden[:, :untouched]
    return (moved, *rest) if isinstance(output, tuple) else moved


for _ in range(TOKENS):
    with torch.no_grad():
        with model.trace({{"input_ids": ids}}):
            for layer, (names, strengths, norm) in EDITS.items():
                layers[layer].output = edited(layers[layer].output, names, strengths, norm)
            logits = model.output.logits[:, -1].save()
    token = logits.argmax(-1)
    if token.item() in {ends!r}:
        break
    ids = torch.cat([ids, token[:, None]], dim=1)
print(tokenizer.decode(ids[0, start:], skip_special_tokens=True))
'''
#: Directions are added, set or projected out.
_ALONG: Final = """
def change(hidden, files, strengths, norm):
    units = torch.stack([load_file(name)["direction"] for name in files])
    if OPERATION == "add":
        return (strengths * norm) @ units
    along = hidden @ units.T
    wanted = strengths * norm
    if OPERATION == "project out":
        wanted = along * (1 - strengths.abs().clamp(max=1))
    return (wanted - along) @ torch.linalg.pinv(units @ units.T) @ units
"""
#: Latents are set; what the dictionary cannot reconstruct stays, for only their rows are written.
_CLAMP: Final = """rule = json.loads(Path("dictionary/cfg.json").read_text(encoding="utf-8"))
weights = load_file("dictionary/sae_weights.safetensors")


def encode(states):
    if rule["apply_b_dec_to_input"]:
        states = states - weights["b_dec"]
    before = states @ weights["W_enc"] + weights["b_enc"]
    codes = torch.relu(before)
    if rule["architecture"] == "jumprelu":
        return codes * (before > weights["threshold"])
    if rule["architecture"] == "topk":
        best = codes.topk(rule["k"], dim=-1, sorted=False)
        return torch.zeros_like(codes).scatter_(-1, best.indices, best.values)
    return codes  # relu


def change(hidden, latents, strengths, norm):
    rows = weights["W_dec"][latents]
    return (strengths * norm / rows.norm(dim=1) - encode(hidden)[..., latents]) @ rows
"""


def markdown(run: Run) -> str:
    """Return a run as Markdown: what was asked, the dose, the texts side by side."""
    recipe = run.recipe
    doses = [f"{_inline(term.axis)} {term.strength:+g}" for term in recipe.terms]
    lines = [
        "# Steered run",
        "",
        f"- model: {_inline(recipe.model)} ({_inline(recipe.identity) or 'any'})",
        f"- layers: {', '.join(map(str, recipe.layers))}; {recipe.operation}; {recipe.positions}",
        f"- directions: {', '.join(doses) or 'none'}",
        f"- decoding: {recipe.decoding.tokens} tokens, temperature {recipe.decoding.temperature:g},"
        f" seed {recipe.decoding.seed}{'; stopped before its end' if run.stopped else ''}",
        f"- tokens changed: {run.changed_tokens}; edits ran {run.calls} times",
        "",
        "## Prompt",
        "",
        _quoted(run.prompt),
    ]
    for number, (plain, steered) in enumerate(zip(run.plain, run.steered, strict=True), 1):
        lines += ["", f"## Sample {number}", "", "Plain:", "", _quoted(plain)]
        lines += ["", "Steered:", "", _quoted(steered)]
    if run.note:
        lines += ["", "## Note", "", _quoted(run.note)]
    return "\n".join(lines) + "\n"


def _quoted(text: str) -> str:
    return "\n".join(f"> {_plain(line)}" for line in text.splitlines() or [""])


def _inline(text: str) -> str:
    """Keep a text within its line."""
    return _plain(" ".join(text.split()))


def _plain(line: str) -> str:
    """Let a model's text show as it stands: no HTML, link, image or code of its own."""
    return re.sub(r"([\\`<\[])", r"\\\1", line)


def bundle_bytes(
    run: Run, edits: list[LayerEdit], model: str, layers: str, ends: set[int], *, behind: int = 0
) -> bytes:
    """Return a run's script with what it needs and the run itself, as a zip file.

    It needs direction files or, where latents are set, their dictionary in the format of SAELens.
    """
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr("repeat.py", script(run, edits, model, layers, ends, behind=behind))
        packed.writestr("run.json", run_json(run))
        for edit in edits:
            if edit.dictionary is not None:
                _pack(packed, edit.dictionary)
                continue
            for name, direction in zip(_files(edit), edit.directions, strict=True):
                packed.writestr(name, direction_bytes(direction))
    return buffer.getvalue()


def _pack(packed: zipfile.ZipFile, dictionary: Dictionary) -> None:
    """Put a dictionary into a zip file; weights are stored as they are, for they do not shrink."""
    with tempfile.TemporaryDirectory() as folder:
        for path in sorted(save_folder(dictionary, Path(folder)).iterdir()):
            packed.write(path, f"{DICTIONARY}/{path.name}", zipfile.ZIP_STORED)


def _files(edit: LayerEdit) -> list[str]:
    return [f"{number}-{edit.layer}.safetensors" for number in range(len(edit.directions))]


def script(
    run: Run, edits: list[LayerEdit], model: str, layers: str, ends: set[int], *, behind: int = 0
) -> str:
    """Return a short script that repeats a run's steered text without Moralscope.

    Args:
        run: The run.
        edits: What its recipe does here.
        model: Folder or hub id of the model.
        layers: Dotted path of the decoder layers.
        ends: Tokens that end a text.
        behind: How many tokens the tokenizer appends to every text; a prompt is read without them.

    Raises:
        RecipeError: An aligned dictionary is spliced in: the script knows no such edit.
    """
    if any(edit.before is not None for edit in edits):
        raise RecipeError(
            "This run splices an aligned dictionary in, which a script without Moralscope cannot "
            "repeat. Run its recipe here, or export a run along directions or latents."
        )
    clamps = any(edit.dictionary is not None for edit in edits)
    named = {
        edit.layer: (
            list(edit.latents) if clamps else _files(edit),
            list(edit.strengths),
            edit.norm,
        )
        for edit in sorted(edits, key=lambda one: one.layer)
    }
    return _SCRIPT.format(
        beside=f"the folder {DICTIONARY}" if clamps else "the direction files",
        imports="import json\nfrom pathlib import Path\n\n" if clamps else "",
        meaning="latents" if clamps else "direction files",
        change=_CLAMP if clamps else _ALONG,
        model=model,
        prompt=run.prompt.replace("\x00", ""),  # as it was read
        edits=named,
        operation=run.recipe.operation,
        positions=run.recipe.positions,
        tokens=run.recipe.decoding.tokens,
        chat=run.recipe.decoding.chat,
        layers=layers,
        ends=sorted(ends),
        cut=f"[:, :-{behind}]  # less what it appends"
        if behind and not run.recipe.decoding.chat
        else "",
    )

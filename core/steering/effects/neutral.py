"""What steering costs where nothing is at stake: neutral sentences, plain against steered."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import numpy as np

from core.activations.prompts import collate, encode
from core.activations.traces import step_logits
from core.steering.edits import LayerEdit, Steering
from core.steering.recipes import Positions

if TYPE_CHECKING:
    from core.models.open_models import OpenModel

#: Sentences without moral content, written for this project.
NEUTRAL: Final = (
    "The train to the coast leaves at nine and takes about two hours.",
    "Add the flour slowly and stir until the dough is smooth.",
    "The library is on the second floor, next to the lifts.",
    "Rain is expected in the north, with sunny spells later in the day.",
    "Water boils at a lower temperature high up in the mountains.",
    "The meeting was moved to Thursday because the room was booked.",
    "She painted the kitchen yellow and the hall a light grey.",
    "The river bends twice before it reaches the old stone bridge.",
    "Most of the shops on this street open at ten in the morning.",
    "He plays the piano in the evening and reads before bed.",
    "The table is made of oak and seats eight people.",
    "A new version of the program was released last week.",
)


def neutral_cost(
    model: "OpenModel", edits: Sequence[LayerEdit], positions: Positions
) -> tuple[float, float]:
    """Return divergence from the plain model and perplexity on the neutral sentences.

    A sentence stands for a written text: ``generated`` moves all its tokens but the first.

    Returns:
        Nats per token, and perplexity with the edits; both over every token after the first.
    """
    import torch

    moved: Positions = "not first" if positions == "generated" else positions
    encoded = encode(model, NEUTRAL, 64)
    total, surprise, count = 0.0, 0.0, 0
    for start in range(0, len(encoded), 4):
        part = encoded[start : start + 4]
        rows = [*part, *part] if edits else part  # unedited, one arm is both
        batch = collate(rows, model.tokenizer.pad_token_id or 0)
        batch = {name: one.to(model.module.device) for name, one in batch.items()}
        arms = torch.arange(len(rows)) >= len(part)
        steering = Steering.of(edits, moved, arms, model.module.device)
        steering.aim(batch["attention_mask"].bool(), prompt=True)
        logs = torch.log_softmax(step_logits(model, batch, None, steering.editors, keep=0), dim=2)
        plain, steered = logs[: len(part), :-1], logs[-len(part) :, :-1]
        nxt = batch["input_ids"][: len(part), 1:].cpu()
        real = batch["attention_mask"][: len(part), 1:].cpu().bool()
        kl = (steered.exp() * (steered - plain)).sum(dim=2)
        total += float(kl[real].double().sum())
        surprise -= float(steered.gather(2, nxt[..., None])[..., 0][real].double().sum())
        count += int(real.sum())
    return max(total / count, 0.0), float(np.exp(min(surprise / count, 700)))

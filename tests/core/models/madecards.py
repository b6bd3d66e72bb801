"""What tests share that need a model nobody has to open."""

from core.models.card import ModelCard
from core.models.spec import ModelSpec


def made_card(name="made", layers=3, width=16):
    """Return the card of a model that there is not."""
    return ModelCard(
        spec=ModelSpec("folder", f"/{name}", device="cpu"),
        identity=f"folder:{name}",
        name=name,
        architecture="MadeForCausalLM",
        n_layers=layers,
        d_model=width,
        vocabulary=10,
        n_parameters=10,
        weight_bytes=40,
        needed_bytes=40,
        free_bytes=100,
        total_bytes=100,
        device="cpu",
        dtype="float32",
        reason="it is made up",
        licence="none",
        folder=None,
    )

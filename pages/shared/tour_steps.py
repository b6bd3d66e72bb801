"""The tour's eight steps: what each shows, where, and with which settings."""

from typing import Any, Final, NamedTuple


class Step(NamedTuple):
    """One step."""

    name: str
    """What its chip says."""

    text: str
    """What there is to see."""

    page: str
    """Folder of the page that shows it."""

    settings: dict[str, Any]
    """Of the page's widgets."""


STEPS: Final = (
    Step(
        "Two maps",
        "Each point is an action: left, where people's judgements put it; right, where one layer "
        "of the model puts the same words.",
        "map",
        {},
    ),
    Step(
        "Layers",
        "Move the layer slider: every layer is turned onto the same frame, so what moves has moved "
        "in the model.",
        "map",
        {"layer": "emb", "method": "umap"},
    ),
    Step(
        "Disagreement",
        "Orange: people find the action typical and the model does not; purple, the other way "
        "round. Drag a box to read them below.",
        "map",
        {"colour": "residual"},
    ),
    Step(
        "Your sentence",
        "Type a sentence of your own: it lands as a star, and below stands how near it is to the "
        "ten poles, beside what random centres give.",
        "map",
        {"say": "Returning a lost wallet with all the money in it"},
    ),
    Step(
        "Untrained copy",
        "The model beside a copy with random weights: what both show comes from the words, not "
        "from training.",
        "compare",
        {},
    ),
    Step(
        "Inside a layer",
        "Layer 9 taken apart into 5,120 features: which are on for care or harm, beside what "
        "shuffled labels and random features give.",
        "features",
        {"sort": "care"},
    ),
    Step(
        "Steer",
        "Push the model towards care and see the map and its next words change, beside a random "
        "push of the same strength.",
        "steer",
        {"care-harm": 10},
    ),
    Step(
        "Your data",
        "Bring Social-Chemistry-101 or a table of your own; it goes through the same pages.",
        "data",
        {},
    ),
)

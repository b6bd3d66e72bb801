"""The read-out: what the model would say next, before and after, beside a random direction."""

from collections.abc import Iterator
from typing import Any, Final

import pandas as pd

from core.activations.study import Study
from core.charts import config
from core.steering.plots import answer_figure
from core.steering.recipes import Recipe
from core.steering.view import answer_sentence, answer_table
from pages.steer import readout_prompts, results
from pages.steer import recipe as steer_recipe
from pages.steer.choice import Choice

_LEGEND: Final = (
    "<div class='ms-legend'><span>○ plain</span><span>● steered</span>"
    "<span>◇ random direction (as the states vary), same strength</span></div>"
)


def stages(study: Study, choice: Choice, mine: Any, others: Any) -> Iterator[None]:
    """Draw the answer to the person's prompt; then, asked again, those to held-out actions.

    Args:
        study: Items and model.
        choice: Where and how.
        mine: Container of the first.
        others: Container of the rest.
    """
    mine.markdown("**What would it say next: right or wrong?**")
    mine.html(_LEGEND)
    others.markdown("**The same for actions that no direction was made from**")
    plots, below = others.container(), others.container()
    which, words = readout_prompts.ask(below)
    recipe = steer_recipe.recipe(study, choice)
    prompt = " ".join(steer_recipe.prompt().split())
    tables = []
    if prompt:
        found = results.answer(study, recipe, (prompt,), words)
        tables.append(_drawn(mine, recipe, answer_table([prompt], *found, own=True), "mine"))
    yield
    asked = results.asked(study, which)
    found = results.answer(study, recipe, asked.prompts, words)
    tables.append(_drawn(plots, recipe, answer_table(asked.texts, *found), "answer"))
    readout_prompts.table(below, pd.concat(tables))


def _drawn(place: Any, recipe: Recipe, table: pd.DataFrame, key: str) -> pd.DataFrame:
    """Draw a table of read-outs and the sentence on it."""
    if not recipe.active:
        table = table.assign(random=float("nan"))
    place.plotly_chart(
        answer_figure(table),
        key=key,
        config=config("moralscope-answer") | {"displayModeBar": False, "scrollZoom": False},
        alt="Log odds of right against wrong as the next word, before and after steering; the "
        "table below holds the same.",
    )
    place.caption(answer_sentence(table) if recipe.active else _NOTHING)
    return table


_NOTHING: Final = "Nothing is steered: before and after are the same. Move a slider."

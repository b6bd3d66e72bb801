"""Steering: a recipe made into edits of the residual stream, with a count of what they did.

The residual stream of chosen rows and tokens is moved along unit directions. Doses are in units of
the median norm of the layer's residual stream at the last token, so that a strength means the same
at every layer and in every model. Edits are computed in float32 whatever the model's number format.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from core.activations.study import Study, states_of
from core.runtime.store import Store
from core.sae.dictionary import Dictionary
from core.steering.aligned import ALIGNED, aligned_of
from core.steering.direction_files import FILE, open_direction
from core.steering.directions import Direction, DirectionError, moral_direction
from core.steering.latents import LATENT, latent_direction, latent_of
from core.steering.recipes import Operation, Positions, Recipe, RecipeError, Term

if TYPE_CHECKING:
    import torch

#: What is done with an aligned dictionary.
SPLICES: Final[tuple[Operation, ...]] = ("align", "replace")
#: Fewer digits of a digest could mean several directions.
_FEWEST_DIGITS: Final = 8


@dataclass(frozen=True, eq=False)
class LayerEdit:
    """What is done at one layer."""

    layer: int
    """Decoder layer."""

    directions: tuple[Direction, ...]
    """Unit directions, one per term."""

    strengths: tuple[float, ...]
    """In units of ``norm``."""

    norm: float
    """Median norm of the residual stream there."""

    operation: Operation
    """What is done with them."""

    dictionary: Dictionary | None = None
    """Whose latents are clamped (the directions are theirs), or what is spliced in."""

    latents: tuple[int, ...] = ()
    """Which latents, one per direction."""

    before: Dictionary | None = None
    """The spliced dictionary before it was aligned; there is no direction then."""

    @property
    def vectors(self) -> NDArray[np.float32]:
        """The directions, shape ``(k, d_model)``."""
        return np.stack([one.vector for one in self.directions])


@dataclass(eq=False)
class Firings:
    """How often edits ran, and on how many tokens: a steering that did nothing says so."""

    calls: int = 0
    """Times that an edit was applied to a layer."""

    tokens: int = 0
    """Tokens it moved, over all layers."""


def resolve(
    store: Store, study: Study, recipe: Recipe, files: Mapping[str, Direction] | None = None
) -> list[LayerEdit]:
    """Return what a recipe does at each layer; nothing if no term is active.

    Args:
        store: Where states lie.
        study: The items and the model that the recipe names.
        recipe: What is asked.
        files: Loaded directions by digest; None: those that the store keeps.

    Raises:
        RecipeError: It names another model, other items, or a layer that there is not.
        DirectionError: A direction cannot be made, or belongs to another model.
        CoreError: The items were not read.
    """
    check_recipe(study, recipe)
    if not recipe.active:
        return []
    if recipe.operation == "clamp":
        return [_clamp(store, study, recipe)]
    if recipe.operation in SPLICES:
        return [_splice(store, study, recipe)]
    return [
        LayerEdit(
            layer,
            tuple(_direction(store, study, recipe, term, layer, files) for term in recipe.active),
            tuple(term.strength for term in recipe.active),
            residual_norm(store, study, layer),
            recipe.operation,
        )
        for layer in recipe.layers
    ]


def check_recipe(study: Study, recipe: Recipe, *, repeated: bool = False) -> None:
    """Refuse a recipe of another model, with a layer that there is not, or of other items.

    Args:
        study: Items and model.
        recipe: What would be done.
        repeated: Refuse other items even where no direction is made from them: the unit of its
            dose is, so a run would not be the same.

    Raises:
        RecipeError: It does not fit here.
    """
    if recipe.identity and recipe.identity != study.plan.model:
        raise RecipeError(
            f"This recipe was made with {recipe.model} ({recipe.identity}); the model opened here "
            f"is {study.card.name} ({study.plan.model}). Choose the same model and revision."
        )
    highest = study.card.n_layers - 1
    beyond = [layer for layer in recipe.layers if layer > highest]
    if beyond:
        raise RecipeError(
            f"{study.card.name} has no layer {beyond[0]}. Choose layers 0 to {highest}."
        )
    alien = all(term.axis.startswith((FILE, LATENT, ALIGNED)) for term in recipe.active)
    if repeated or (recipe.items and not alien):
        _check_items(study, recipe)


def _clamp(store: Store, study: Study, recipe: Recipe) -> LayerEdit:
    """Return the edit that sets latents: all of one dictionary, at its layer."""
    if not recipe.terms:
        raise RecipeError(
            "No latent is named whose value could be set. Choose one, or add instead."
        )
    found = [latent_of(store, study.card, term.axis) for term in recipe.terms]
    dictionary = found[0][0]
    several = {one.digest for one, _ in found} != {dictionary.digest}
    if several or recipe.layers != (dictionary.info.layer,):
        raise RecipeError(
            f"Latents are set at the layer of their dictionary, one dictionary at a time: here "
            f"layer {dictionary.info.layer}. Choose that layer, or add the directions instead."
        )
    if any(term.strength < 0 for term in recipe.terms):
        raise RecipeError("A latent cannot be set below 0, which is off. Choose 0 or more.")
    return LayerEdit(
        dictionary.info.layer,
        tuple(latent_direction(store, study.card, term.axis) for term in recipe.terms),
        tuple(term.strength for term in recipe.terms),
        residual_norm(store, study, dictionary.info.layer),
        "clamp",
        dictionary,
        tuple(latent for _, latent in found),
    )


def _splice(store: Store, study: Study, recipe: Recipe) -> LayerEdit:
    """Return the edit that puts an aligned dictionary into the stream."""
    if len(recipe.active) != 1:
        raise RecipeError("One aligned dictionary is spliced in at a time. Choose one.")
    [term] = recipe.active
    after, before = aligned_of(store, study.card, term.axis)
    layer = after.info.layer
    if recipe.layers != (layer,):
        raise RecipeError(
            f"{after.info.name} is spliced in at its own layer, {layer}. Choose that layer."
        )
    norm = residual_norm(store, study, layer)
    strengths = (term.strength,)
    return LayerEdit(layer, (), strengths, norm, recipe.operation, after, before=before)


def _check_items(study: Study, recipe: Recipe) -> None:
    """Refuse directions made from other items, or read in another way: they would be others."""
    if recipe.items != study.items.digest:
        raise RecipeError(
            f"This recipe's directions were made from other items ({recipe.items[:12]}) than "
            f"{study.items.provenance.name} ({study.items.digest[:12]}). Choose the same set."
        )
    if recipe.template != study.plan.spec.template:
        raise RecipeError(
            f"This recipe's items were read as {recipe.template[:60]!r}, here they are read as "
            f"{study.plan.spec.template[:60]!r}. Choose the same template."
        )
    here = study.plan.spec
    if (recipe.strip, recipe.max_tokens) != (here.strip, here.max_tokens):
        kept = {True: "stripped", False: "kept"}
        raise RecipeError(
            f"This recipe's items were read with final punctuation {kept[recipe.strip]} and at "
            f"most {recipe.max_tokens:,} tokens; here it is {kept[here.strip]}, and "
            f"{here.max_tokens:,} tokens. Choose the same preset under 'How texts are read'."
        )


def _direction(
    store: Store,
    study: Study,
    recipe: Recipe,
    term: Term,
    layer: int,
    files: Mapping[str, Direction] | None,
) -> Direction:
    if term.axis.startswith(LATENT):
        found = latent_direction(store, study.card, term.axis)
    elif term.axis.startswith(FILE):
        found = _loaded(store, term.axis.removeprefix(FILE), files)
    else:
        return moral_direction(
            store, study, term.axis, layer, method=term.method, pooling=recipe.pooling
        )
    if found.model and found.model != study.plan.model:
        raise DirectionError(
            f"{found.name} belongs to another model ({found.model}). Choose that model."
        )
    if found.vector.shape != (study.card.d_model,):
        raise DirectionError(
            f"{found.name} has {found.vector.size} numbers; {study.card.name} has "
            f"{study.card.d_model} coordinates."
        )
    if found.layer >= 0 and found.layer != layer:
        raise DirectionError(
            f"{found.name} was made at layer {found.layer}, not {layer}. Steer there."
        )
    return found


def _loaded(store: Store, digest: str, files: Mapping[str, Direction] | None) -> Direction:
    if files is None:
        found = open_direction(store, digest)
    else:
        whole = len(digest) >= _FEWEST_DIGITS
        found = next((one for key, one in files.items() if whole and key.startswith(digest)), None)
    if found is None:
        raise DirectionError(
            f"The direction {digest[:16]} is not loaded here. Load its file again."
        )
    return found


def residual_norm(store: Store, study: Study, layer: int) -> float:
    """Return the median norm of a layer's residual stream at the items' last token.

    Raises:
        DirectionError: It is not finite.
        CoreError: The items were not read.
    """
    pooling = "last" if "last" in study.plan.spec.poolings else study.plan.spec.poolings[0]
    states = states_of(store, study).prompt_states(layer, pooling)
    norm = float(np.median(np.linalg.norm(states.astype(np.float64), axis=1)))
    if not np.isfinite(norm):
        raise DirectionError(
            f"The states of layer {layer} hold numbers that are not finite, so a strength means "
            "nothing there. Choose another layer."
        )
    return norm


class Editor:
    """Applies the edits of one layer to a batch, step by step."""

    def __init__(
        self, edit: LayerEdit, rows: "torch.Tensor", firings: Firings, device: "torch.device"
    ) -> None:
        """Prepare for a batch.

        Args:
            edit: What is done.
            rows: Which rows are steered, bool ``(batch,)``.
            firings: Counts what happens.
            device: Where the layer's output lies; a spread model's later layers lie elsewhere,
                and the edit follows them.
        """
        import torch

        self._rows, self._firings = rows.to(device), firings
        self._operation = edit.operation
        units = np.empty((0, 0), np.float32) if edit.operation in SPLICES else edit.vectors
        self._units = torch.tensor(units, device=device)
        self._doses = torch.tensor(edit.strengths, dtype=torch.float32, device=device)
        self._norm = edit.norm
        self._clamped = _Clamped(edit) if edit.operation == "clamp" else None
        self._spliced = _Spliced(edit) if edit.operation in SPLICES else None
        self.where: torch.Tensor | None = None
        """Tokens that may be moved at the next call, bool ``(batch, tokens)``."""

    def __call__(self, hidden: "torch.Tensor") -> "torch.Tensor":
        """Return the moved residual stream ``(batch, tokens, d_model)``, same number format."""
        import torch

        self._rows, self._units, self._doses = (
            one.to(hidden.device) for one in (self._rows, self._units, self._doses)
        )
        where = self._rows[:, None].expand(hidden.shape[:2])
        if self.where is not None:
            where = where & self.where.to(hidden.device)
        self._firings.calls += 1
        self._firings.tokens += int(where.sum())
        moved = hidden.float() + self._change(hidden.float())
        return torch.where(where[..., None], moved.to(hidden.dtype), hidden)

    def _change(self, hidden: "torch.Tensor") -> "torch.Tensor":
        import torch

        if self._operation == "add":
            return (self._doses * self._norm) @ self._units
        if self._clamped is not None:
            return self._clamped.change(hidden, self._doses * self._norm)
        if self._spliced is not None:
            return self._spliced.change(hidden) * self._doses
        along = hidden @ self._units.T
        wanted = (
            self._doses * self._norm
            if self._operation == "set"
            else (along * (1 - self._doses.abs().clamp(max=1)))
        )
        # Directions need not be orthogonal: the smallest change that gives each its part.
        gram = self._units @ self._units.T
        change: torch.Tensor = (wanted - along) @ torch.linalg.pinv(gram) @ self._units
        return change


class _Clamped:
    """Sets latents to a value and leaves all else: ``x + decode(edited) - decode(original)``.

    The decoder is linear, so the rest of the code and what the dictionary cannot reconstruct cancel
    out: only the edited latents' own rows are written.
    """

    def __init__(self, edit: LayerEdit) -> None:
        if edit.dictionary is None:
            raise ValueError("a clamp needs a dictionary")
        self._dictionary, self._latents = edit.dictionary, list(edit.latents)

    def change(self, hidden: "torch.Tensor", lengths: "torch.Tensor") -> "torch.Tensor":
        """Return what is added to ``hidden``; ``lengths`` is what each latent is to write."""
        import torch

        if self._dictionary.w_dec.device != hidden.device:
            self._dictionary = self._dictionary.to(hidden.device)
        rows = self._dictionary.w_dec[self._latents]
        now = self._dictionary.encode(hidden)[..., self._latents]
        change: torch.Tensor = (lengths / rows.norm(dim=1) - now) @ rows
        return change


class _Spliced:
    """Puts an aligned dictionary into the stream.

    ``align`` adds ``after(x) - before(x)``: what neither dictionary can reconstruct stays.
    ``replace`` adds ``after(x) - x``, as the paper does: the error of the reconstruction comes in.
    """

    def __init__(self, edit: LayerEdit) -> None:
        if edit.dictionary is None or edit.before is None:
            raise ValueError("a splice needs a dictionary after and before")
        self._after, self._before = edit.dictionary, edit.before
        self._whole = edit.operation == "replace"

    def change(self, hidden: "torch.Tensor") -> "torch.Tensor":
        """Return what a whole dose adds to ``hidden``, of its shape."""
        if self._after.w_dec.device != hidden.device:
            self._after, self._before = (
                self._after.to(hidden.device),
                self._before.to(hidden.device),
            )
        after = self._after.decode(self._after.encode(hidden))
        if self._whole:
            return after - hidden
        return after - self._before.decode(self._before.encode(hidden))


def allowed(positions: Positions, mask: "torch.Tensor", *, prompt: bool) -> "torch.Tensor":
    """Return which tokens of a step may be moved, bool ``(batch, tokens)``.

    Args:
        positions: As the recipe says.
        mask: Real tokens of the step, bool ``(batch, tokens)``.
        prompt: Whether the step reads the prompt.
    """
    if not prompt or positions == "all":
        return mask
    if positions == "generated":
        # The last token of the prompt makes the first generated one.
        last = mask.flip(1).cumsum(dim=1).flip(1) == 1
        return mask & last
    return mask & (mask.cumsum(dim=1) > 1)


@dataclass(frozen=True, eq=False)
class Steering:
    """Edits for one batch, ready for a trace."""

    editors: Mapping[int, Editor]
    """Layer -> editor."""

    positions: Positions
    """Which tokens."""

    firings: Firings = field(default_factory=Firings)
    """What happened so far."""

    @classmethod
    def of(
        cls,
        edits: Sequence[LayerEdit],
        positions: Positions,
        rows: "torch.Tensor",
        device: "torch.device",
    ) -> "Steering":
        """Prepare edits for the chosen rows of a batch."""
        firings = Firings()
        editors = {edit.layer: Editor(edit, rows, firings, device) for edit in edits}
        return cls(editors, positions, firings)

    def aim(self, mask: "torch.Tensor", *, prompt: bool) -> None:
        """Say which tokens the next step holds, bool ``(batch, tokens)``."""
        for editor in self.editors.values():
            editor.where = allowed(self.positions, mask, prompt=prompt)

"""Recipes: everything that makes a steered text, frozen, as JSON and in the address bar."""

import base64
import binascii
import json
import zlib
from dataclasses import MISSING, asdict, dataclass, field, fields, is_dataclass
from typing import TYPE_CHECKING, Any, Final, Literal, get_args

from core import CoreError
from core.activations.decoding import Decoding, DecodingError, is_between, is_whole
from core.activations.prompts import KEPT_END, Pooling, ReadSpec
from core.runtime.store import fingerprint
from core.steering.directions import Method

if TYPE_CHECKING:
    from core.activations.study import Study

Positions = Literal["all", "generated", "not first"]
Operation = Literal["add", "project out", "set", "clamp", "align", "replace"]
#: Version of the format; a newer one is refused, not misread.
VERSION: Final = 1
#: A dose above this share of the residual norm leaves nothing of the model.
MOST_STRENGTH: Final = 4.0
MOST_LAYER: Final = 999
#: Characters of a prompt: long enough for an essay, short enough for an address and two cores.
MOST_PROMPT: Final = 4000
#: Bytes that a recipe in an address may unpack to.
_MOST_UNPACKED: Final = 64_000


class RecipeError(CoreError):
    """A recipe cannot mean anything, or not here."""


@dataclass(frozen=True)
class Term:
    """One direction and its dose."""

    axis: str
    """Foundation, pole, ``file:<digest>`` of a stored direction, ``latent:<digest>:<number>`` of a
    dictionary's latent, or ``aligned:<digest>:<digest>`` of a dictionary after and before it was
    aligned."""

    strength: float
    """In units of the median residual norm at the layer; the sign says which way. Of an aligned
    dictionary: the share of its change."""

    method: Method = "means"
    """How the direction is made from the items."""

    def __post_init__(self) -> None:
        if not is_between(self.strength, -MOST_STRENGTH, MOST_STRENGTH):
            raise RecipeError(
                f"A strength must lie between -{MOST_STRENGTH:g} and {MOST_STRENGTH:g} residual "
                f"norms, not {str(self.strength)[:20]}."
            )
        # 1 and 1.0, 0.0 and -0.0 are one recipe with one digest.
        object.__setattr__(self, "strength", float(self.strength) + 0.0)
        if not _is_text(self.axis) or self.method not in get_args(Method):
            raise RecipeError(
                f"A term needs the name of an axis and one of: {', '.join(get_args(Method))}."
            )


@dataclass(frozen=True)
class Recipe:
    """What is done to which model, and how it then writes."""

    model: str
    """Text form of the model's spec."""

    identity: str
    """Content identity of the model; empty: whatever the spec means here."""

    items: str
    """Digest of the items that the directions are made from."""

    template: str
    """How these items were read."""

    layers: tuple[int, ...]
    """Decoder layers after which the residual stream is edited."""

    terms: tuple[Term, ...] = ()
    """Directions with doses; none or all zero: nothing is edited."""

    positions: Positions = "not first"
    """Which tokens: all, those it writes, or all but the first, an attention sink."""

    operation: Operation = "add"
    """Add the directions; take a share of their part away; set their part to the dose; set latents
    of a dictionary to the dose and leave everything else, what it cannot reconstruct included. Of
    an aligned dictionary: add what it reconstructs more than before (``align``), or put its whole
    reconstruction in the place of the state, error included (``replace``)."""

    pooling: Pooling = "last"
    """Pooled states that the directions are made from."""

    decoding: Decoding = field(default_factory=Decoding)
    """How tokens are chosen."""

    strip: bool = True
    """Whether the items were read without their final punctuation."""

    max_tokens: int = ReadSpec.max_tokens
    """Tokens above which a long item lost its middle."""

    def __post_init__(self) -> None:
        named = (self.model, self.identity, self.items, self.template)
        several = len(set(self.layers)) == len(self.layers) > 0
        rules = (
            (all(map(_is_text, named)), "model, identity, items and template must be text"),
            (
                several and all(is_whole(layer, 0, MOST_LAYER) for layer in self.layers),
                "it needs one or more different decoder layers, 0 or above",
            ),
            (self.positions in get_args(Positions), f"positions: {', '.join(get_args(Positions))}"),
            (self.operation in get_args(Operation), f"operation: {', '.join(get_args(Operation))}"),
            (self.pooling in get_args(Pooling), f"pooling: {', '.join(get_args(Pooling))}"),
            (isinstance(self.strip, bool), "strip must be true or false"),
            (is_whole(self.max_tokens, KEPT_END + 1), f"max_tokens must exceed {KEPT_END}"),
        )
        for holds, rule in rules:
            if not holds:
                raise RecipeError(f"This recipe cannot be run: {rule}.")

    @property
    def active(self) -> tuple[Term, ...]:
        """Terms that do something: adding or removing nothing is doing nothing."""
        if self.operation in ("set", "clamp"):  # to 0 is an edit, too
            return self.terms
        return tuple(term for term in self.terms if term.strength != 0)

    @property
    def digest(self) -> str:
        """SHA-256 over all that is not at its default.

        So a later version can add a field, and what was made before keeps its digest. A default is
        for that reason never changed.
        """
        return fingerprint(_told(self))

    def json(self) -> str:
        """Return the recipe as JSON, with its version."""
        return json.dumps({"version": VERSION, **asdict(self)}, ensure_ascii=False, indent=1)

    def packed(self) -> str:
        """Return the recipe as one word for an address."""
        plain = json.dumps({"version": VERSION, **_told(self)}, separators=(",", ":"))
        return base64.urlsafe_b64encode(zlib.compress(plain.encode(), 9)).decode().rstrip("=")


def _told(one: Any) -> dict[str, Any]:
    """Return a dataclass's fields that are not at their default, parts likewise."""
    plain = {
        each.name: each.default if each.default_factory is MISSING else each.default_factory()
        for each in fields(one)
    }
    values = {name: getattr(one, name) for name in plain}
    return {name: _parts(value) for name, value in values.items() if value != plain[name]}


def _parts(value: Any) -> Any:
    if isinstance(value, tuple):
        return [_parts(one) for one in value]
    return _told(value) if is_dataclass(value) else value


def recipe_at(
    study: "Study",
    layer: int,
    terms: tuple[Term, ...],
    operation: Operation = "add",
    pooling: Pooling | None = None,
    decoding: Decoding | None = None,
) -> Recipe:
    """Return what is done to a study's model at one layer, directions made from its items.

    Args:
        study: Items and model.
        layer: After which layer.
        terms: Directions with doses.
        operation: What is done with them.
        pooling: From which pooled states they are made; None: the last token's where it was read.
        decoding: How tokens are chosen; None: as usual.
    """
    read = study.plan.spec
    usual: Pooling = "last" if "last" in read.poolings else read.poolings[0]
    return Recipe(
        str(study.card.spec),
        study.plan.model,
        study.items.digest,
        read.template,
        (layer,),
        terms,
        operation=operation,
        pooling=pooling or usual,
        decoding=decoding or Decoding(),
        strip=read.strip,
        max_tokens=read.max_tokens,
    )


def recipe_of(text: str) -> Recipe:
    """Read a recipe from its JSON.

    Raises:
        RecipeError: It is no recipe, a newer version, or holds impossible values.
    """
    try:
        record = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise RecipeError(f"This is no recipe: {error}.") from error
    return _read(record)


def _read(record: Any) -> Recipe:
    version = record.get("version") if isinstance(record, dict) else None
    if not isinstance(version, int) or not is_whole(version, 1):
        raise RecipeError("This is no recipe of Moralscope: it names no version.")
    if version > VERSION:
        raise RecipeError(
            f"This recipe has version {str(version)[:20]}; this Moralscope reads up to {VERSION}. "
            "Update Moralscope to open it."
        )
    known = {one.name for one in fields(Recipe)}
    unknown = set(record) - known - {"version"}
    if unknown:
        named = ", ".join(sorted(unknown))[:100]
        raise RecipeError(f"This recipe holds {named}, which is not known.")
    return _built({name: record[name] for name in known & set(record)})


def _built(record: dict[str, Any]) -> Recipe:
    try:
        if not all(isinstance(record.get(name, []), list) for name in ("terms", "layers")):
            raise RecipeError("This recipe is damaged: terms and layers must be lists.")
        record["terms"] = tuple(Term(**term) for term in record.get("terms", ()))
        record["layers"] = tuple(record["layers"])
        record["decoding"] = Decoding(**record.get("decoding", {}))
        return Recipe(**record)
    except (TypeError, KeyError, ValueError) as error:
        raise RecipeError(f"This recipe is incomplete or damaged: {error}.") from error
    except DecodingError as error:
        raise RecipeError(str(error)) from error


def unpacked(word: str) -> Recipe:
    """Read a recipe from the word in an address.

    Raises:
        RecipeError: The word is damaged or too long.
    """
    try:
        raw = base64.urlsafe_b64decode(word + "=" * (-len(word) % 4))
        plain = zlib.decompressobj().decompress(raw, _MOST_UNPACKED)
        record = json.loads(plain.decode())
    except (binascii.Error, zlib.error, ValueError, RecursionError) as error:
        raise RecipeError("The recipe in this address is damaged. Copy the whole link.") from error
    return _read(record)


# --- what JSON may hold ---


def _is_text(value: object) -> bool:
    """Tell whether this is text that can be written: half a character cannot."""
    try:
        return isinstance(value, str) and value.encode() is not None
    except UnicodeEncodeError:
        return False

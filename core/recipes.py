"""Recipes: everything that makes a steered text, frozen, as JSON and in the address bar."""

import base64
import binascii
import json
import zlib
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Final, Literal, get_args

from core import CoreError
from core.directions import Method
from core.prompts import Pooling
from core.store import fingerprint

Positions = Literal["all", "generated", "not first"]
Operation = Literal["add", "project out", "set"]
#: Version of the format; a newer one is refused, not misread.
VERSION: Final = 1
#: A dose above this share of the residual norm leaves nothing of the model.
MOST_STRENGTH: Final = 4.0
MOST_TOKENS: Final = 400
MOST_SAMPLES: Final = 8
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
    """Foundation, pole, or ``file:<digest>`` of a stored direction."""

    strength: float
    """In units of the median residual norm at the layer; the sign says which way."""

    method: Method = "means"
    """How the direction is made from the items."""

    def __post_init__(self) -> None:
        if not abs(self.strength) <= MOST_STRENGTH:  # NaN fails as well
            raise RecipeError(
                f"A strength must lie between -{MOST_STRENGTH:g} and {MOST_STRENGTH:g} residual "
                f"norms, not {self.strength}."
            )


@dataclass(frozen=True)
class Decoding:
    """How tokens are chosen."""

    tokens: int = 40
    """Most new tokens."""

    temperature: float = 0.8
    """0 takes the likeliest token."""

    top_k: int = 50
    """Tokens that can be drawn; keeps the sort off the whole vocabulary."""

    top_p: float = 0.95
    """Of these, the likeliest that together have this probability."""

    samples: int = 2
    """Texts per arm."""

    seed: int = 0
    """The same numbers are drawn for the plain and the steered text of a sample."""

    chat: bool = False
    """Wrap the prompt into the model's chat template."""

    def __post_init__(self) -> None:
        rules = (
            (1 <= self.tokens <= MOST_TOKENS, f"tokens must be 1 to {MOST_TOKENS}"),
            (0 <= self.temperature <= 5, "the temperature must be 0 to 5"),
            (1 <= self.top_k <= 1000, "top_k must be 1 to 1,000"),
            (0 < self.top_p <= 1, "top_p must be above 0 and at most 1"),
            (1 <= self.samples <= MOST_SAMPLES, f"samples must be 1 to {MOST_SAMPLES}"),
        )
        for holds, rule in rules:
            if not holds:
                raise RecipeError(f"This recipe cannot be run: {rule}.")


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
    """Add the directions; take a share of their part away; set their part to the dose."""

    pooling: Pooling = "last"
    """Pooled states that the directions are made from."""

    decoding: Decoding = field(default_factory=Decoding)
    """How tokens are chosen."""

    def __post_init__(self) -> None:
        if not self.layers or len(set(self.layers)) < len(self.layers) or min(self.layers) < 0:
            raise RecipeError("A recipe needs one or more different decoder layers, 0 or above.")
        if self.positions not in get_args(Positions):
            raise RecipeError(f"Positions can be {', '.join(get_args(Positions))}.")
        if self.operation not in get_args(Operation):
            raise RecipeError(f"The operation can be {', '.join(get_args(Operation))}.")

    @property
    def active(self) -> tuple[Term, ...]:
        """Terms that do something: adding or removing nothing is doing nothing."""
        if self.operation == "set":
            return self.terms
        return tuple(term for term in self.terms if term.strength != 0)

    @property
    def digest(self) -> str:
        """SHA-256 over everything."""
        return fingerprint(asdict(self))

    def json(self) -> str:
        """Return the recipe as JSON, with its version."""
        return json.dumps({"version": VERSION, **asdict(self)}, ensure_ascii=False, indent=1)

    def packed(self) -> str:
        """Return the recipe as one word for an address."""
        plain = json.dumps({"version": VERSION, **asdict(self)}, separators=(",", ":"))
        return base64.urlsafe_b64encode(zlib.compress(plain.encode(), 9)).decode().rstrip("=")


def recipe_of(text: str) -> Recipe:
    """Read a recipe from its JSON.

    Raises:
        RecipeError: It is no recipe, a newer version, or holds impossible values.
    """
    try:
        record = json.loads(text)
    except ValueError as error:
        raise RecipeError(f"This is no recipe: {error}.") from error
    if not isinstance(record, dict) or not isinstance(record.get("version"), int):
        raise RecipeError("This is no recipe of Moralscope: it names no version.")
    if record["version"] > VERSION:
        raise RecipeError(
            f"This recipe has version {record['version']}; this Moralscope reads up to {VERSION}. "
            "Update Moralscope to open it."
        )
    known = {one.name for one in fields(Recipe)}
    unknown = set(record) - known - {"version"}
    if unknown:
        raise RecipeError(f"This recipe holds {', '.join(sorted(unknown))}, which is not known.")
    return _built({name: record[name] for name in known & set(record)})


def _built(record: dict[str, Any]) -> Recipe:
    try:
        record["terms"] = tuple(Term(**term) for term in record.get("terms", ()))
        record["layers"] = tuple(int(layer) for layer in record["layers"])
        record["decoding"] = Decoding(**record.get("decoding", {}))
        return Recipe(**record)
    except (TypeError, KeyError, ValueError) as error:
        raise RecipeError(f"This recipe is incomplete or damaged: {error}.") from error


def unpacked(word: str) -> Recipe:
    """Read a recipe from the word in an address.

    Raises:
        RecipeError: The word is damaged or too long.
    """
    try:
        raw = base64.urlsafe_b64decode(word + "=" * (-len(word) % 4))
        plain = zlib.decompressobj().decompress(raw, _MOST_UNPACKED)
        return recipe_of(plain.decode())
    except (binascii.Error, zlib.error, UnicodeDecodeError, ValueError) as error:
        raise RecipeError("The recipe in this address is damaged. Copy the whole link.") from error

"""How many tokens one batch may hold, and what is done with a batch that the device cannot hold."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final, TypeVar

from core import CoreError
from core.models.devices import ITEM_BYTES, Dtype, narrowest, out_of_memory, release

if TYPE_CHECKING:
    from core.models.open_models import ModelCard, OpenModel

T = TypeVar("T")

#: Vectors as wide as the stream that are alive at once for a token while a layer works: the stream
#: itself, queries, keys and values, the wider ones of a feed-forward block, a few experts.
_ALIVE: Final = 48
#: Bytes of a coordinate that is pooled in float32: itself, and without the padding.
_POOLED: Final = 8
#: Bytes of a coordinate of a pooled state: two poolings, once by layer and once stacked.
_KEPT: Final = 16
#: A text has at least about as many tokens, its template among them.
_TEXT: Final = 8
#: Part of what is free that a batch may take: the estimate is rough, and others may come.
_SHARE: Final = 0.5
#: Tokens of a batch, however little is free: about one long text.
_LEAST: Final = 256


def token_budget(card: "ModelCard", most: int) -> int:
    """Return how many tokens, padding included, one batch may hold by what is free now.

    A power of two, so that a little more or less that is free gives the same batches.

    Args:
        card: The model, open.
        most: What no batch exceeds, however much is free.
    """
    dtype: Dtype = card.dtype
    kept = _KEPT * (card.n_layers + 1) / _TEXT
    token = card.d_model * (_ALIVE * ITEM_BYTES[dtype] + _POOLED + kept)
    fits = int(narrowest(card.device, spread=card.spec.spread) * _SHARE / token)
    return most if fits >= most else max(_LEAST, 2 ** (fits.bit_length() - 1) if fits else 0)


class InParts:
    """Reads batches; one that the device has no memory for, half by half, down to one text.

    From then on as large a batch is not tried whole again. A text's states do not hang on its
    company but for the last digits: other shapes are added up in another order, which moves a
    float32 state by about 1e-6 of its length.
    """

    def __init__(self, model: "OpenModel") -> None:
        """Read with an open model; nothing was too large yet."""
        self._model, self._too_many = model, float("inf")

    def read(
        self, work: Callable[[Sequence[list[int]]], T], encoded: Sequence[list[int]]
    ) -> list[T]:
        """Return what the work gives for a batch: once, or for each of its parts in their order.

        Args:
            work: Reads some tokenised texts.
            encoded: Tokens of each text.

        Raises:
            CoreError: A single text does not fit.
        """
        tokens = len(encoded) * max(map(len, encoded))
        if tokens < self._too_many or len(encoded) == 1:
            try:
                return [work(encoded)]
            except Exception as error:
                if not out_of_memory(error):
                    raise
                if len(encoded) == 1:
                    raise self._refused(tokens) from error
            # Out of the handler: the error held what the failed batch had made.
            release(self._model.card.device)
            self._too_many = min(self._too_many, tokens)
        middle = len(encoded) // 2
        return [*self.read(work, encoded[:middle]), *self.read(work, encoded[middle:])]

    def _refused(self, tokens: int) -> CoreError:
        card = self._model.card
        return CoreError(
            f"{card.name} has no memory left on {card.device} for a single text of {tokens} "
            "tokens. Close other programs or models, read in bfloat16 (dtype=bfloat16), or choose "
            "a smaller model; what was read so far is kept."
        )

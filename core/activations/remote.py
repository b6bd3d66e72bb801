"""Models that run elsewhere: nnsight's remote execution (NDIF), watched, stopped and tried again.

What travels there is the traced block and the tokens; what comes back are pooled states, no token's
own. The key comes from the environment alone and is never written down.
"""

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from core.activations.prompts import Pooling
from core.activations.traces import remote_pooled_states
from core.models.remote_host import HOST_NAME, host, key
from core.models.spec import ModelError
from core.runtime.progress import Report

if TYPE_CHECKING:
    import torch

    from core.models.open_models import OpenModel

#: Seconds between two looks at a waiting job, and between two looks at Cancel.
LOOK: Final = 2.0
_LISTEN: Final = 0.2
#: Times that sending or looking is tried again while the server does not answer.
TRIES: Final = 4


def pooled_states(
    model: "OpenModel",
    batch: "dict[str, torch.Tensor]",
    masks: "dict[Pooling, torch.Tensor]",
    report: Report,
) -> "torch.Tensor":
    """Let the far side read one batch and pool it there.

    Arguments and result are those of ``backends.Backend``; the model's weights are not here.

    Raises:
        ModelError: No key, no server, or the job failed there.
        Cancelled: The report asked to stop; the server is not asked for the job's end any more.
    """
    backend = _backend(model_key(model))
    _again(
        backend, report, lambda: remote_pooled_states(model, batch, list(masks.values()), backend)
    )
    result = None
    while result is None:
        result = _again(backend, report, backend.poll)
        _wait(LOOK if result is None else 0.0, backend, report)
    pooled = result.get("pooled")
    wanted = (model.card.n_layers + 1, len(masks), len(batch["input_ids"]), model.card.d_model)
    if pooled is None or tuple(pooled.shape) != wanted:
        raise ModelError(
            f"{host()} sent back something else than pooled states of {model.card.name}. Try "
            "again; if it stays, the server's version does not fit this nnsight."
        )
    states: torch.Tensor = pooled.float()
    return states


def model_key(model: "OpenModel") -> str:
    """Return the name by which the server knows a model: nnsight's class, repository, task."""
    import json

    from nnsight.util import to_import_path

    spec = model.card.spec
    revision = None if spec.revision == "main" else spec.revision
    told = {"repo_id": spec.location, "revision": revision, "task": "text-generation"}
    return f"{to_import_path(type(model.lm))}:{json.dumps(told)}"


def _backend(name: str) -> Any:
    """Return nnsight's backend: it sends a job, then is asked for it; nothing is printed."""
    import torch
    from nnsight.intervention.backends.remote import RemoteBackend

    class Quiet(RemoteBackend):  # type: ignore[misc]
        """Keeps what the server says, and loads tensors only: an answer is never run."""

        said = "sending"

        def note(self, response: Any) -> bool:
            text = f"{response.status.value.lower()} {response.description}".strip()
            self.said = text if len(text) < 200 else f"{text[:200]} …"
            return bool(super().note(response))

        def finalize(self, content: bytes) -> Any:
            import io

            import zstandard

            if self.compress:
                content = zstandard.ZstdDecompressor().decompress(content)
            return torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)

    made = Quiet(name, host=host(), api_key=key(), blocking=False)
    made.display.enabled = False
    return made


def _again(backend: Any, report: Report, ask: Callable[[], Any]) -> Any:
    """Ask the server; while it does not answer, ask again a few times."""
    import httpx
    from nnsight.intervention.backends.remote import RemoteError

    for attempt in range(TRIES):
        try:
            return ask()
        except RemoteError as error:
            if not isinstance(error.__cause__, httpx.TransportError):
                raise ModelError(_refused(error)) from error
            cause: Exception = error.__cause__
        except httpx.HTTPStatusError as error:
            raise ModelError(_refused(error)) from error
        except httpx.TransportError as error:
            cause = error
        if attempt < TRIES - 1:
            backend.said = f"no answer, trying again ({attempt + 1})"
            _wait(LOOK * 2**attempt, backend, report)
    raise ModelError(
        f"{host()} does not answer ({cause.__class__.__name__}). Connect to the network, or set "
        f"{HOST_NAME}; what was read so far is kept, and starting again goes on from there."
    ) from cause


def _refused(error: Exception) -> str:
    text = " ".join(str(error).split())[-300:]
    return (
        f"{host()} did not run the model: {text}. Look whether it is deployed and your key may use "
        "it (python -c 'import nnsight; nnsight.ndif_status()'), then try again."
    )


def _wait(seconds: float, backend: Any, report: Report) -> None:
    """Wait where Cancel is heard, telling what the server says."""
    end = time.monotonic() + seconds
    while True:
        report(0, 1, f"on {host()} · {backend.said}")
        left = end - time.monotonic()
        if left <= 0:
            return
        time.sleep(min(left, _LISTEN))

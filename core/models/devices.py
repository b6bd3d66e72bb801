"""Where a model runs: device and number format, chosen in one place, with reason and room."""

import gc
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from core.models import served
from core.models.spec import ModelError, ModelSpec
from core.runtime.memory import Room, main_memory, trim_heap
from core.runtime.torch_device import Device, available_devices, has_bfloat16

if TYPE_CHECKING:
    import torch

Dtype = Literal["float32", "bfloat16"]

ITEM_BYTES: Final[dict[Dtype, int]] = {"float32": 4, "bfloat16": 2}
#: Memory that is not this process's to look after.
_ELSEWHERE: Final = 2**60
#: What libraries say of a full device in an error that has no class of its own.
_FULL: Final = ("out of memory", "can't allocate memory", "CUBLAS_STATUS_ALLOC_FAILED")


@dataclass(frozen=True)
class Place:
    """A device and number format, and why."""

    device: Device
    """Where the weights lie."""

    dtype: Dtype
    """Number format of weights and states."""

    reason: str
    """One sentence for people."""

    engine: str = ""
    """What computes and its version, where that is not torch in this process."""


def choose_place(spec: ModelSpec) -> Place:
    """Choose device and number format for what was asked.

    Raises:
        ModelError: The device is not there, or lacks bfloat16.
    """
    if spec.remote:  # the server chooses; most of what NDIF holds is bfloat16
        dtype: Dtype = "float32" if spec.dtype == "float32" else "bfloat16"
        return Place("remote", dtype, f"remote: asked for; {dtype}: taken to be the server's.")
    if spec.backend == "vllm":
        engine = f"vllm {served.engine()[1]}"
        dtype, why = _choose_dtype(spec, "cuda" if "cuda" in available_devices() else "cpu")
        return Place("vllm", dtype, f"{engine}: asked for; {dtype}: {why}.", engine)
    device, why_device = _choose_device(spec)
    dtype, why_dtype = _choose_dtype(spec, device)
    return Place(device, dtype, f"{device}: {why_device}; {dtype}: {why_dtype}.")


def _choose_device(spec: ModelSpec) -> tuple[Device, str]:
    available = available_devices()
    if spec.spread and "cuda" not in available:
        raise ModelError(
            "spread places layers over several GPUs, but torch sees no CUDA GPU here. "
            "Leave spread out."
        )
    if spec.device == "auto":
        return available[0], "the best device torch sees here"
    if spec.device not in available:
        raise ModelError(
            f"Device {spec.device} was asked for, but torch sees only {', '.join(available)} here. "
            "Choose one of these, or auto."
        )
    return spec.device, "asked for"


def _choose_dtype(spec: ModelSpec, device: Device) -> tuple[Dtype, str]:
    if spec.dtype == "float32":
        return "float32", "asked for"
    if spec.dtype == "auto" and device == "cpu":
        return "float32", "exact"
    if device == "cpu" or has_bfloat16(device):
        return (
            "bfloat16",
            "asked for" if spec.dtype == "bfloat16" else "half the memory, fast there",
        )
    if spec.dtype == "bfloat16":
        raise ModelError(f"bfloat16 was asked for, but this {device} device lacks it. Use float32.")
    return "float32", f"this {device} device lacks bfloat16"


def room(device: Device, *, spread: bool = False) -> Room:
    """Return the memory free on a device and its size; over all GPUs if ``spread``."""
    import torch

    if device in ("remote", "vllm"):
        return Room(_ELSEWHERE, _ELSEWHERE)
    if device == "cuda":
        gpus = _gpus(spread=spread)
        return Room(sum(gpu.free for gpu in gpus), sum(gpu.total for gpu in gpus))
    if device == "mps":
        total = int(torch.mps.recommended_max_memory())
        return Room(total - int(torch.mps.current_allocated_memory()), total)
    return main_memory()


def narrowest(device: Device, *, spread: bool = False) -> int:
    """Return the bytes free for a batch: where layers lie on several GPUs it goes through each."""
    if device == "cuda":
        return min(gpu.free for gpu in _gpus(spread=spread))
    return room(device).free


def _gpus(*, spread: bool) -> list[Room]:
    import torch

    found = []
    for gpu in range(torch.cuda.device_count()) if spread else [torch.cuda.current_device()]:
        free, total = torch.cuda.mem_get_info(gpu)
        unused = torch.cuda.memory_reserved(gpu) - torch.cuda.memory_allocated(gpu)
        found.append(Room(free + unused, total))
    return found


def out_of_memory(error: BaseException) -> bool:
    """Tell whether an error says that a device, or main memory, is full.

    CUDA has a class of its own for it, its libraries, MPS and the CPU only words.
    """
    import torch

    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return isinstance(error, RuntimeError) and any(words in str(error) for words in _FULL)


def torch_dtype(dtype: Dtype) -> "torch.dtype":
    """Return torch's own name of a number format."""
    import torch

    return {"float32": torch.float32, "bfloat16": torch.bfloat16}[dtype]


def not_finite_advice(dtype: Dtype) -> str:
    """Say what to do about states that are not finite, by the number format in use."""
    if dtype != "float32":
        return (
            f"{dtype} may be too coarse for this model: read it with dtype=float32. If that "
            "changes nothing, its weights are damaged: fetch it again."
        )
    return (
        "It runs in float32 already, so its weights themselves hold NaN or infinite numbers: fetch "
        "the model again, or ask who trained it."
    )


def release(device: Device) -> None:
    """Give memory of dropped tensors back to the device, and free main memory to the system."""
    import torch

    gc.collect()
    trim_heap()
    if device == "cuda":
        torch.cuda.empty_cache()
    if device == "mps":
        torch.mps.empty_cache()

"""Which device torch computes on here, and whether it is quick in bfloat16."""

from typing import Literal

Device = Literal["cpu", "cuda", "mps", "remote", "vllm"]


def available_devices() -> list[Device]:
    """Return the devices of this machine, the best first."""
    import torch

    found: list[Device] = []
    if torch.cuda.is_available():
        found.append("cuda")
    if torch.backends.mps.is_available():
        found.append("mps")
    return [*found, "cpu"]


def has_bfloat16(device: Device) -> bool:
    """Tell whether a device computes in bfloat16 by itself."""
    import torch

    if device == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    try:
        torch.zeros(1, dtype=torch.bfloat16, device=device)
    except (TypeError, RuntimeError):  # before macOS 14
        return False
    return True


def working_device() -> Device:
    """Return where large matrix products run: a CUDA device if there is one, else the CPU.

    Not MPS: it has no float64, which centres and penalties need.
    """
    return "cuda" if "cuda" in available_devices() else "cpu"


def training_device() -> Device:
    """Return where small models of our own are trained: the best device torch sees here."""
    return available_devices()[0]


def fast_bfloat16(device: Device) -> bool:
    """Tell whether products in bfloat16 are faster there than in float32."""
    import torch

    if device == "cpu":
        can = torch.cpu.get_capabilities()
        return bool(can.get("avx512_bf16") or can.get("amx_bf16"))
    return device == "cuda" and has_bfloat16(device)

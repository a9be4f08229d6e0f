"""Which devices torch can use here."""

from __future__ import annotations

import torch

from rdpcodec.errors import UsageError


def usable_device(device: str | torch.device) -> torch.device:
    """A device that torch can put a tensor on. Raises `UsageError` for any other."""
    name = repr(str(device))
    try:
        found = torch.device(device)
    except Exception as error:  # torch would list 20 names here, most of which it cannot use either
        raise UsageError(
            f"device {name} cannot be used: torch knows none of that name; this torch has: {_devices()}"
        ) from error
    try:
        torch.zeros(1, device=found).item()  # "meta" has tensors, but no numbers in them
    except Exception as error:  # of many kinds: no CUDA, no such number, no such kind, no kernels for it
        # Only torch's first sentence; the dispatcher goes on for a kilobyte.
        said = str(error).splitlines()[0].partition(". ")[0]
        raise UsageError(f"device {name} cannot be used: {said}; this torch has: {_devices()}") from error
    return found


def computes_bfloat16(kind: str) -> bool:
    """Whether devices of a kind, "cpu" or "cuda", have instructions for bfloat16; emulating them would be
    slower than float32.
    """
    if kind == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    # Older releases of torch do not tell what the processor can do.
    known: dict[str, bool] = getattr(torch.cpu, "get_capabilities", dict)()
    return bool(known.get("avx512_bf16") or known.get("amx_bf16"))


def _devices() -> str:
    """The available devices, in words."""
    names = ["cpu", *(f"cuda:{i}" for i in range(torch.cuda.device_count()))]
    return ", ".join(names + ["mps"] * torch.backends.mps.is_available())

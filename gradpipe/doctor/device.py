"""Check the device that computes gradients, and find accelerators that torch cannot use."""

from __future__ import annotations

import os
import platform
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from gradpipe.doctor.finding import Finding
from gradpipe.models.hardware import device_name
from gradpipe.system.units import format_bytes

SUBJECT = "device"
#: Where Linux shows a GPU's driver.
NVIDIA, AMD = Path("/proc/driver/nvidia/version"), Path("/dev/kfd")


def examine_device() -> Iterator[Finding]:
    """Test each accelerator with a sum, or report the processor and why it is used."""
    try:
        import torch
    except (ImportError, OSError) as error:
        yield Finding(SUBJECT, "fault", f"torch cannot be loaded ({error})", "install torch again")
        return
    if torch.cuda.is_available():
        for number in range(torch.cuda.device_count()):
            yield _accelerator(torch, f"cuda:{number}")
    elif torch.backends.mps.is_available():
        total = int(torch.mps.recommended_max_memory())
        yield Finding(SUBJECT, "ok", f"mps: {platform.machine()}, {format_bytes(total)} of memory")
    else:
        yield from _unused(torch)
        yield Finding(SUBJECT, "ok", f"cpu: {device_name('cpu')}")


def _accelerator(torch: Any, device: str) -> Finding:
    """Check that torch computes on a GPU; a build for other GPUs does not."""
    free, total = torch.cuda.mem_get_info(device)
    half = "bfloat16" if torch.cuda.is_bf16_supported() else "no bfloat16"
    memory = f"{format_bytes(free)} of {format_bytes(total)} free"
    what = f"{device}: {device_name(device)}, {memory}, {half}"
    try:
        works = float(torch.ones(2, device=device).sum()) == 2.0
        reason = "" if works else "sums are wrong"
    except RuntimeError as error:
        reason = str(error).partition("\n")[0]
    if not reason:
        return Finding(SUBJECT, "ok", what)
    return Finding(
        SUBJECT,
        "fault",
        f"{what}, and torch {torch.__version__} cannot compute on it ({reason})",
        f"install a torch built for it (this one is for {', '.join(torch.cuda.get_arch_list())})",
    )


def _unused(torch: Any) -> Iterator[Finding]:
    """Report a GPU that is present but that torch does not see."""
    maker = "NVIDIA" if NVIDIA.exists() else "AMD" if AMD.exists() else ""
    if not maker:
        return
    hidden = next((v for v in _VISIBLE if os.environ.get(v, "0") in {"", "-1"}), None)
    build = torch.version.cuda if maker == "NVIDIA" else torch.version.hip
    kind = "CUDA" if maker == "NVIDIA" else "ROCm"
    gpu = f"an {maker} GPU ({_driver()}) is there" if _driver() else f"an {maker} GPU is there"
    if hidden:
        yield Finding(SUBJECT, "warning", f"{gpu}, and {hidden} hides it", f"unset {hidden}")
    elif build is None:
        yield Finding(
            SUBJECT,
            "fault",
            f"{gpu}, and torch {torch.__version__} is built without {kind}",
            f"install a torch with {kind} from https://pytorch.org",
        )
    else:
        yield Finding(
            SUBJECT,
            "fault",
            f"{gpu}, and torch {torch.__version__}, built for {kind} {build}, cannot use it",
            "update the driver, or install a torch for an older one",
        )


_VISIBLE = ("CUDA_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES")


def _driver() -> str:
    """The NVIDIA driver's version, as in ``driver 550.54``; empty if unknown."""
    try:
        found = re.search(r"\d+\.\d+(\.\d+)?", NVIDIA.read_text("utf-8"))
    except OSError:
        return ""
    return f"driver {found[0]}" if found else ""

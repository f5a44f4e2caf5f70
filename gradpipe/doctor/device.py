"""Check the device that computes gradients, and find accelerators that torch cannot use."""

from __future__ import annotations

import os
import platform
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from gradpipe.doctor.finding import Finding
from gradpipe.models.hardware import cpu_name
from gradpipe.system.units import format_bytes

DEVICE = "device"
#: Files that exist on Linux if a GPU's driver is loaded.
NVIDIA, AMD = Path("/proc/driver/nvidia/version"), Path("/dev/kfd")


def examine_device() -> Iterator[Finding]:
    """Test each accelerator with a sum, or report the processor and why it is used."""
    try:
        import torch
    except (ImportError, OSError) as error:
        yield Finding(DEVICE, "fault", f"torch cannot be loaded ({error})", "reinstall torch")
        return
    if torch.cuda.is_available():
        for number in range(torch.cuda.device_count()):
            yield _accelerator(torch, f"cuda:{number}")
    elif torch.backends.mps.is_available():
        total = int(torch.mps.recommended_max_memory())
        yield Finding(DEVICE, "ok", f"mps: {platform.machine()}, {format_bytes(total)} of memory")
    else:
        yield from _unused(torch)
        yield Finding(DEVICE, "ok", f"cpu: {cpu_name()}")


def _accelerator(torch: Any, device: str) -> Finding:
    """Check that torch computes on a GPU; a build for other GPUs does not."""
    free, total = torch.cuda.mem_get_info(device)
    half = "bfloat16" if torch.cuda.is_bf16_supported() else "no bfloat16"
    name = torch.cuda.get_device_name(device)
    what = f"{device}: {name}, {format_bytes(free)} of {format_bytes(total)} free, {half}"
    try:
        works = float(torch.ones(2, device=device).sum()) == 2.0
        reason = "" if works else "sums are wrong"
    except RuntimeError as error:
        reason = str(error).partition("\n")[0]
    if not reason:
        return Finding(DEVICE, "ok", what)
    return Finding(
        DEVICE,
        "fault",
        f"{what}, but torch {torch.__version__} cannot compute on it ({reason})",
        "install a build of torch that supports it (this one supports "
        f"{', '.join(torch.cuda.get_arch_list())})",
    )


def _unused(torch: Any) -> Iterator[Finding]:
    """Report a GPU that is present but that torch does not see."""
    maker = "NVIDIA" if NVIDIA.exists() else "AMD" if AMD.exists() else ""
    if not maker:
        return
    hidden = next((v for v in _VISIBLE if os.environ.get(v, "0") in {"", "-1"}), None)
    build = torch.version.cuda if maker == "NVIDIA" else torch.version.hip
    kind = "CUDA" if maker == "NVIDIA" else "ROCm"
    gpu = f"this machine has an {maker} GPU" + (f" ({_driver()})" if _driver() else "")
    if hidden:
        yield Finding(DEVICE, "warning", f"{gpu}, but {hidden} hides it", f"unset {hidden}")
    elif build is None:
        yield Finding(
            DEVICE,
            "fault",
            f"{gpu}, but torch {torch.__version__} is built without {kind}",
            f"install a build of torch with {kind} from https://pytorch.org",
        )
    else:
        yield Finding(
            DEVICE,
            "fault",
            f"{gpu}, but torch {torch.__version__}, built for {kind} {build}, cannot use it",
            f"update the driver, or install a build of torch for an older {kind}",
        )


_VISIBLE = ("CUDA_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES")


def _driver() -> str:
    """The NVIDIA driver's version, as in ``driver 550.54``; empty if unknown."""
    try:
        version = re.search(r"\d+\.\d+(\.\d+)?", NVIDIA.read_text("utf-8"))
    except OSError:
        return ""
    return f"driver {version[0]}" if version else ""

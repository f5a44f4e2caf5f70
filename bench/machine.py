"""The machine of a run: processor, cores, libraries, threads; never a host name or a path."""

from __future__ import annotations

import os
import platform
from typing import Any

from gradpipe.models.hardware import processor, usable_cores


def describe_machine() -> dict[str, Any]:
    """The machine and its libraries, for JSON."""
    import torch
    import transformers

    cuda = torch.cuda.is_available()
    return {
        "processor": processor(),
        "instructions": torch.backends.cpu.get_cpu_capability(),
        "cores": usable_cores(),
        "threads": torch.get_num_threads(),
        "wait_policy": os.environ.get("OMP_WAIT_POLICY"),
        "spins": os.environ.get("GOMP_SPINCOUNT"),
        "prepared_products": os.environ.get("ONEDNN_PRIMITIVE_CACHE_CAPACITY"),
        "accelerator": torch.cuda.get_device_name() if cuda else None,
        "system": platform.system(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "transformers": transformers.__version__,
    }


def machine_sentence(machine: dict[str, Any]) -> str:
    """The machine in one line, for the heading of a table."""
    accelerator = f", {machine['accelerator']}" if machine["accelerator"] else ""
    return (
        f"{machine['processor']} ({machine['instructions']}), "
        f"{machine['cores']} cores, {machine['threads']} threads"
        f"{accelerator}; torch {machine['torch']}, transformers {machine['transformers']}, "
        f"Python {machine['python']} on {machine['system']}"
    )

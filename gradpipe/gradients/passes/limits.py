"""Shares of the free memory that a batch may take, and where Linux keeps a container's limit."""

#: Share of the free memory for a batch's activations. The rest is for temporary tensors and, on a
#: CPU, for other processes.
CPU_SHARE = 0.5
ACCELERATOR_SHARE = 0.7
#: Bytes kept free on an accelerator for a block of logits and for the spectra.
RESERVE = 3 * 2**30
#: Files with a container's memory limit and usage, for control groups version 2 and 1.
CONTROL_GROUPS = (
    ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory.current"),
    ("/sys/fs/cgroup/memory/memory.limit_in_bytes", "/sys/fs/cgroup/memory/memory.usage_in_bytes"),
)

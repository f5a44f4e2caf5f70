"""How much of the free memory a batch may take, and where Linux keeps a container's limit."""

#: The share of the free memory that a batch's activations may take: the passes' own temporaries
#: are not counted, and a CPU's memory belongs to others too.
CPU_SHARE = 0.5
ACCELERATOR_SHARE = 0.7
#: Kept free on an accelerator for a block of logits and for the spectra, in bytes.
RESERVE = 3 * 2**30
#: Where Linux keeps a container's limit and use, of both generations of control groups.
CONTROL_GROUPS = (
    ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory.current"),
    ("/sys/fs/cgroup/memory/memory.limit_in_bytes", "/sys/fs/cgroup/memory/memory.usage_in_bytes"),
)

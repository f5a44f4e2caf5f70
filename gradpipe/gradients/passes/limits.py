"""Shares of the free memory that a batch may take."""

#: Share of the free memory for a batch's activations. The rest is for temporary tensors and, on a
#: CPU, for other processes.
CPU_SHARE = 0.5
ACCELERATOR_SHARE = 0.7
#: Bytes kept free on an accelerator for a block of logits and for the spectra.
RESERVE = 3 * 2**30

"""Sizes and costs of the spectra, for their computation and for estimates, which need no torch."""

#: What the eigenvalues of an n × n matrix cost, in n³ multiply-adds of a matrix product: the
#: reduction to tridiagonal form runs at the speed of memory (2 measured on a CPU: 10 ms at 440).
EIGENVALUE_COST = 2.0
#: The share of tokens with gradient below which the others are cut away first, as the prompt's in
#: the last layer's queries and outputs.
WORTH_CUTTING = 0.9
#: Rows from which on symmetric products are computed in blocks: smaller ones run at less speed.
WORTH_BLOCKS = 192
#: Columns that a side of the gradient is folded to, and numbers of a sketch.
SIDE = 192
SKETCH_VALUES = 512
#: Bytes that the Gram matrices of one job on an accelerator may take: about six T × T float64
#: matrices a row are alive at once.
WORKSPACE = 2**31
GRAM_MATRICES = 6

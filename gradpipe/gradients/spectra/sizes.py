"""Sizes and costs of spectra. Free of torch, since cost estimates use them too."""

#: Cost of the eigenvalues of an n × n matrix, in units of n³ multiply-adds of a matrix product.
#: The reduction to tridiagonal form is memory-bound (measured on a CPU: 2, or 10 ms at n = 440).
EIGENVALUE_COST = 2.0
#: Tokens without gradient are removed first if the share of the other tokens is below this, as in
#: the last layer's queries and outputs, where prompt tokens have no gradient.
WORTH_CUTTING = 0.9
#: Least rows of a symmetric product that is computed in blocks; small blocks would be slow.
WORTH_BLOCKS = 192
#: Columns that each side of a gradient is folded to, and values per sketch.
SIDE = 192
SKETCH_VALUES = 512
#: Bytes for the Gram matrices of one job on an accelerator: about nine T × T float64 matrices per
#: row exist at once.
WORKSPACE = 2**31
GRAM_MATRICES = 9

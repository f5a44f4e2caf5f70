"""Statistics: from spectra to numbers per example, curves per layer, and differences of curves.

reductions     the statistics of one spectrum, each a Polars expression
table          the statistics table: one row per example, layer and projection
partition      the tables of one model and benchmark, from one pass over its spectra
curves         means over examples, per layer
differences    MAD of a curve, and relative difference (RD) of two
decomposition  why the norms of two styles differ: larger tokens, or tokens that add up
alignment      cosines between gradients
correlation    a column of the user's own against each statistic, given the length
examples       scores of single examples, and the most extreme examples with their texts
rows           how many examples are usable, and how fast they were computed
checks         whether a statistics table is possible at all
t_intervals    intervals of estimates with standard errors
detection      how well two kinds of responses are distinguished by a number
sets           sets of examples: diversity, consensus, cosines, and choosing a subset
spans          the parts of responses
"""

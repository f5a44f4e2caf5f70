"""Statistics: from spectra to numbers per example, curves per layer, and differences of curves.

reductions    the statistics of one spectrum, each a Polars expression
table         the statistics table: one row per example, layer and projection
partition     both tables of one model and benchmark, from one pass over its spectra
curves        means over examples, per layer
differences   MAD of a curve, and relative difference (RD) of two
discrimination  how well one number per response distinguishes two kinds of responses
alignment     cosines between gradients
spans         curves of the parts of responses, as shares and by their own mean loss
span_contrasts  the same answer after other chains of thought, and parts of one response
span_steps    how a statistic changes along the steps of a chain
span_tables   the three together, for one model and benchmark
examples      scores of single examples, and the most extreme examples with their texts
rows          how many examples are usable, and how fast they were computed
checks        whether a statistics table is possible at all
"""

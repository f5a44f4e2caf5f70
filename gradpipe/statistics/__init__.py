"""Statistics: from spectra to numbers per example, curves per layer, and differences of curves.

reductions    the statistics of one spectrum, each a Polars expression
table         the statistics table: one row per example, layer and projection
partition     the tables of one model and benchmark, from one pass over its spectra
curves        means over examples, per layer
differences   MAD of a curve, and relative difference (RD) of two
discrimination  how well one number per response distinguishes two kinds of responses
correlation   a column of the user's own against each statistic, given the length
detection_model  what the gradient adds to loss and length in this
grouped_folds   folds of items that share neither instructions nor texts
logistic_scores  scores of responses by a model that was not trained on them
fold_auroc      AUROCs of such scores, with intervals
alignment     cosines between gradients
example_sets  sets of examples: diversity, consensus and mean gradient of each
set_diversity  how many different directions a set of gradients has
set_consensus  how far single gradients agree with the mean of their set
set_cosines   mean gradients of two sets, compared
set_tables    the tables of a report about sets
t_intervals   intervals of estimates with standard errors
sketch_vectors  the gradient of an example as one vector, estimated from its sketches
target_alignment  cosines of examples with a small target set
diverse_subset  examples whose gradients point in many directions, chosen greedily
spans         curves of the parts of responses, as shares and by their own mean loss
span_contrasts  the same answer after other chains of thought, and parts of one response
span_steps    how a statistic changes along the steps of a chain
span_tables   the three together, for one model and benchmark
examples      scores of single examples, and the most extreme examples with their texts
rows          how many examples are usable, and how fast they were computed
checks        whether a statistics table is possible at all
"""

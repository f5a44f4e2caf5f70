"""Claims: what the paper and a study assert of the results, and whether the results support it.

contrasts        a claim: which curves it compares, and where their ratio must lie
paper            the paper's claims
parse            a study's own claims, from text
style_claims     comparisons of a study's own styles
values           one statistic of one model and benchmark as an array
measures         what is measured of a curve (MAD or geometric mean), with bounds for noise
pairing          which responses a claim on relevance compares with which
measured_claims  claims that are more than a contrast of curves
layers           claims about each layer
effects          every claim's effects on one benchmark, from the same resamples
overall          one effect over all models, benchmarks and projections
verdict_rows     the rows of one claim: its cells' verdicts and the overall one
verdicts         ``judge``: the verdict on each claim
reasons          the sentences that explain verdicts
ratios           ratios of two sets of examples
trends           claims along the checkpoints of a training run
comparison       ``compare``: two models, protocols or data sets
comparison_text  the sentences about a comparison
schemas          the tables of claims, verdicts, random effects and length effects
inference        resampling, intervals, corrections and power
length           length as a confounder, and its controls
quality          the claims of the paper's sequel, on responses to different items
"""

"""Claims: what the paper and a study assert of the results, and whether the results support it.

values           one statistic of one model and benchmark as an array
contrasts        a claim: which curves it compares, and where their ratio must lie
paper            the paper's claims
parse            a study's own claims, from text
measures         what is measured of a curve (MAD or geometric mean), with bounds for noise
skew             bounds and degrees of freedom for skewed items
bootstrap        resampling of items: standard errors, intervals and p-values
decisions        whether an effect lies inside a claim's region; Holm's correction
effects          every claim's effects on one benchmark, from the same resamples
overall          one effect over all models, benchmarks and projections
independence     how many independent cells a claim's cells are worth
verdict_rows     the rows of one claim: its cells' verdicts and the overall one
correction       the correction over all claims of a study
random_effects   a claim's ratio on other benchmarks or in other models
verdicts         ``judge``: the verdict on each claim
reasons          the sentences that explain verdicts
ratios           ratios of two sets of examples
power            how many items decide each claim
trends           claims along the checkpoints of a training run
comparison       ``compare``: two models, protocols or data sets
comparison_text  the sentences about a comparison
length           comparisons of styles that control for response length
length_control   the same for claims: one figure per claim and control
length_regression, style_regression   ratios at equal length, by regression within items
matched_length   styles of equal length, and how much of a padded answer is the answer
survival         whether a verdict survives length control
schemas          the tables of claims, verdicts, random effects and length effects
"""

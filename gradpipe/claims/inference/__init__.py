"""Inference: how sure an effect is.

samples         the values that claims need, resampled together
bootstrap       resampling of items: standard errors, intervals and p-values
skew            bounds and degrees of freedom for skewed items
decisions       whether an effect lies inside a claim's region; Holm's correction
independence    how many independent cells a claim's cells are worth
correction      the correction over all claims of a study
random_effects  a claim's ratio on other benchmarks or in other models
power           how many items decide each claim
"""

"""Length as a confounder: what is left of an effect when responses are equally long.

effects           comparisons of two styles per cell, as measured and with each control
control           the same for claims: one figure per claim and control
regression        ratios at equal length, by regression within items
style_regression  the effects of claims by that regression, on one benchmark
matched_styles    styles of equal length, and how much of a padded answer is the answer
matched_items     responses to different items, compared at equal length
survival          whether a verdict survives length control
"""

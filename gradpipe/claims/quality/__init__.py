"""Quality: the claims of the paper's sequel, on responses to different items.

claims          the claims as data
verdicts        the verdicts on them
unpaired        claims on two sets of different items
two_samples     two samples, each resampled by itself
separation      which of two statistics separates two sets better
model_families  whether models of one family have more similar curves than others
"""

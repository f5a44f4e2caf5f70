"""Detection: how well two kinds of responses are distinguished, against what is free.

discrimination   AUROC and win rate of one number per response
added            what the gradient adds to loss and length, by cross-validation
grouped_folds    folds of items that share neither instructions nor texts
logistic_scores  scores of responses by a model that was not trained on them
fold_auroc       AUROCs of such scores, with intervals
"""

"""The tables of claims, verdicts and length effects."""

import polars as pl

#: The ``source`` of a claim that the study file states.
STUDY_SOURCE = "the study"
#: The ``source`` of a comparison of a study's own styles, see gradpipe/claims/style_claims.py.
COMPARISON_SOURCE = "comparison of styles"

#: One row per claim. The parts of a claim share a ``group`` and its ``title``; ``statement`` says
#: what this part asserts, ``source`` who asserts it.
CLAIM_SCHEMA = pl.Schema(
    {
        "claim": pl.String,
        "group": pl.String,
        "title": pl.String,
        "statement": pl.String,
        "source": pl.String,
        "test": pl.String,
        "margin": pl.Float64,
        "quantity": pl.String,
        "scale_free": pl.String,
        "ratio": pl.String,
    }
)
#: One row per verdict ("supported", "contradicted", "undecided"): ``level`` is "cell" (a model,
#: benchmark and projection) or "overall", where those three are null. ``effect`` with its 95 %
#: interval ``low`` to ``high`` is a ratio (of a claim about each layer: that of the layer farthest
#: from 1, and 95 % bounds of the smallest and largest layer's ratio); ``against_model`` is the base
#: if a tuned model is compared with it; ``reason`` explains the verdict; ``agreement`` says how
#: many cells support and contradict the claim (null for cells); ``p_adjusted`` is ``p`` after
#: Holm's correction for the claim's cells; ``items`` is a count; ``pairing`` is "item",
#: "response" or "unpaired" (see gradpipe/claims/pairing.py), and "mixed" overall if cells differ;
#: of unpaired items, ``items`` are those of the smaller side. ``survives_length`` is "yes", "no",
#: "reversed" or "cannot be told" (see ``length.survival``), null for cells and for claims
#: that do not compare two styles. The interval of an equivalence (``test`` "within" or
#: "not_greater") is a 90 % interval. Null for cells: ``p_study`` is ``p`` corrected for all claims
#: of the study, ``verdict_study`` the verdict that follows (see ``inference.correction``);
#: ``independent_cells`` says how many independent cells the claim's cells are worth (see
#: gradpipe/claims/inference/independence.py).
VERDICT_SCHEMA = pl.Schema(
    {
        "claim": pl.String,
        "level": pl.String,
        "model": pl.String,
        "against_model": pl.String,
        "benchmark": pl.String,
        "projection": pl.String,
        "verdict": pl.String,
        "reason": pl.String,
        "agreement": pl.String,
        "effect": pl.Float64,
        "low": pl.Float64,
        "high": pl.Float64,
        "p": pl.Float64,
        "p_adjusted": pl.Float64,
        "items": pl.Int64,
        "pairing": pl.String,
        "survives_length": pl.String,
        "p_study": pl.Float64,
        "verdict_study": pl.String,
        "independent_cells": pl.Float64,
    }
)
#: One row per claim and ``over`` ("benchmark" or "model"), if there are at least five, ``k``, of
#: them: the ratio ``effect`` in their population with its 95 % interval ``low`` to ``high``,
#: ``tau``, the standard deviation of its log, and ``i2``, the share of the spread between them that
#: is not sampling error (see gradpipe/claims/inference/random_effects.py).
RANDOM_EFFECTS_SCHEMA = pl.Schema(
    {
        "claim": pl.String,
        "over": pl.String,
        "k": pl.Int64,
        "effect": pl.Float64,
        "low": pl.Float64,
        "high": pl.Float64,
        "tau": pl.Float64,
        "i2": pl.Float64,
    }
)
#: One row per comparison of two styles and control for length: ``control`` is "none",
#: "summed_loss", "matched" or "regression", ``how`` explains it. ``quantity`` is "mean" or
#: "mad" (of the nuclear norm's curve); ``effect`` is the ratio of ``style`` to ``against``;
#: ``answer_share`` is the mean share of the answer in the loss tokens of padded answers (null for
#: other comparisons).
LENGTH_SCHEMA = pl.Schema(
    {
        "model": pl.String,
        "benchmark": pl.String,
        "family": pl.String,
        "projection": pl.String,
        "style": pl.String,
        "against": pl.String,
        "quantity": pl.String,
        "control": pl.String,
        "how": pl.String,
        "effect": pl.Float64,
        "low": pl.Float64,
        "high": pl.Float64,
        "items": pl.Int64,
        "answer_share": pl.Float64,
    }
)
#: One row per claim that compares two styles and control for length (see
#: gradpipe/claims/length/control.py): the claim's ratio over all cells that ``cells`` counts, with
#: its interval, combined as the overall verdict is. ``outcome`` is "agrees", "weaker",
#: "undecided" or "reversed" beside the figure as measured. ``answer_share`` is as in LENGTH_SCHEMA.
#: An effect that cannot be computed is null, and so is its outcome; ``how`` says why.
LENGTH_CONTROL_SCHEMA = pl.Schema(
    {
        "claim": pl.String,
        "control": pl.String,
        "effect": pl.Float64,
        "low": pl.Float64,
        "high": pl.Float64,
        "items": pl.Int64,
        "cells": pl.Int64,
        "outcome": pl.String,
        "answer_share": pl.Float64,
        "how": pl.String,
    }
)

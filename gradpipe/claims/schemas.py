"""The tables of claims, verdicts and length effects."""

import polars as pl

#: The ``source`` of a claim that a study states itself.
OWN = "the study"

#: One row a claim: what was asked of the results. ``group`` gathers the parts of one claim under
#: ``title``; ``statement`` says what this part asserts, ``source`` who asserts it.
CLAIM_SCHEMA = pl.Schema(
    {
        "claim": pl.String,
        "group": pl.String,
        "title": pl.String,
        "statement": pl.String,
        "source": pl.String,
        "test": pl.String,
        "margin": pl.Float64,
    }
)
#: One row a verdict ("supported", "contradicted", "undecided"): ``level`` is "cell" (a model ×
#: benchmark × projection) or "overall", where those three are null. ``effect`` with its 95 %
#: interval ``low`` to ``high`` is a ratio; ``against_model`` is the pre-trained twin where two
#: models are compared; ``reason`` says in words why the verdict is so.
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
        "effect": pl.Float64,
        "low": pl.Float64,
        "high": pl.Float64,
        "p": pl.Float64,
        "p_adjusted": pl.Float64,
        "items": pl.Int64,
    }
)
#: One row a style comparison and way to hold length still: ``control`` is "none", "summed_loss",
#: "matched" or "regression", ``how`` what it rests on. ``quantity`` is "mean" or "mad" (of the
#: nuclear norm's curve); ``effect`` is the ratio of ``style`` to ``against``.
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
    }
)

"""A correction over all claims of a study.

The more claims a study judges, the more of them are decided by chance. Each group of claims, which
is one finding, gets an equal share of the error rate of 5 %, and its parts divide it by Holm's
method (1979). A group of which every part is decided passes its share on to the other groups. This
is a graphical procedure of Bretz et al. (2009), a shortcut of closed testing. It keeps the
probability of any wrong verdict of the study at 5 %, whatever the dependence between claims. If
every group has one part, it is Holm's method.
"""

from collections.abc import Sequence
from typing import Literal

import numpy as np
import polars as pl

from gradpipe.claims.contrasts import Claim
from gradpipe.claims.inference.bootstrap import CONFIDENCE_LEVEL
from gradpipe.claims.inference.decisions import holm
from gradpipe.claims.schemas import STUDY_SOURCE

#: Over which claims p-values are corrected: those of the study, or none.
Correction = Literal["study", "none"]


def correct_for_study(
    verdicts: pl.DataFrame, claims: Sequence[Claim], correction: Correction = "study"
) -> pl.DataFrame:
    """Verdicts with ``p_study`` and ``verdict_study`` of the overall rows, null for cells.

    ``verdict_study`` is the verdict if the corrected p-value decides it, otherwise "undecided".
    """
    groups = {claim.claim: finding_group(claim) for claim in claims}
    overall = pl.col("level") == "overall"
    rows = verdicts.filter(overall, pl.col("p").is_not_null()).select("claim", "p")
    p = rows["p"].to_list()
    if correction == "study":
        p = study_p_values(p, [groups[name] for name in rows["claim"]])
    corrected = pl.DataFrame(
        {"claim": rows["claim"], "p_study": p, "level": ["overall"] * rows.height},
        schema_overrides={"p_study": pl.Float64, "level": pl.String},
    )
    undecided = pl.col("p_study").is_null() | (pl.col("p_study") >= 1 - CONFIDENCE_LEVEL)
    return (
        verdicts.drop("p_study", "verdict_study", strict=False)
        .join(corrected, on=["claim", "level"], how="left", maintain_order="left")
        .with_columns(
            pl.when(overall & undecided)
            .then(pl.lit("undecided"))
            .when(overall)
            .then("verdict")
            .alias("verdict_study")
        )
    )


def finding_group(claim: Claim) -> str:
    """The group that a claim is corrected in: a study's own claims are separate findings."""
    return claim.claim if claim.source == STUDY_SOURCE else claim.group


def study_p_values(p: Sequence[float], groups: Sequence[str]) -> list[float]:
    """p-values adjusted for all claims; ``groups`` names the group of each.

    With h the p-values after Holm's correction in their group, and F(1) ≤ F(2) ≤ … the error rates
    at which 1, 2, … of the m groups are decided as a whole, it is the smallest of
    max(F(r), (m − r) h) over r = 0, …, m.
    """
    frame = pl.DataFrame({"p": p, "group": groups}, schema={"p": pl.Float64, "group": pl.String})
    within = frame.with_columns(holm(pl.col("p")).over("group").alias("within"))
    whole = within.group_by("group").agg(pl.col("within").max().alias("p")).sort("p")
    decided = np.array([0.0, *whole.select(holm(pl.col("p")))["p"]])
    left = len(decided) - 1 - np.arange(len(decided))
    adjusted = np.maximum(decided, left * within["within"].to_numpy()[:, None])
    best: list[float] = np.minimum(adjusted.min(1), 1.0).tolist()
    return best

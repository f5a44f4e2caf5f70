"""Whether a verdict on two styles survives length control: yes, no, reversed or cannot be told.

Only "matched" and "regression" compare the styles at equal length, so only they say what remains of
a difference. They count if they cover at least half of the verdict's cells, and "matched" only if
padded answers are mostly answer. Then a verdict

- "cannot be told" if neither counts;
- is "reversed" if one of them decides the opposite;
- survives ("yes") if both, as far as they count, decide as the verdict does, and so do the figures
  as measured and on the summed loss;
- otherwise does not survive ("no").

The summed loss can only turn a "yes" into a "no". It does not compare styles at equal length: it
favors the longer response by the same factor by which the mean loss may favor the shorter one.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import polars as pl

from gradpipe.claims.contrasts import Claim
from gradpipe.claims.inference.bootstrap import CONFIDENCE_LEVEL
from gradpipe.claims.length.matched_styles import LEAST_ANSWER_SHARE

#: What a control says beside the verdict. "weaker": on the verdict's side of 1, but not beyond the
#: claim's margin.
ControlOutcome = Literal["agrees", "weaker", "undecided", "reversed"]
Survival = Literal["yes", "no", "reversed", "cannot be told"]

#: A control that covers a smaller share of a verdict's cells says too little about it.
LEAST_CELL_SHARE = 0.5
_AT_EQUAL_LENGTH = ("matched", "regression")
_MUST_AGREE = ("measured", *_AT_EQUAL_LENGTH, "summed_loss")


def outcome_of(
    claim: Claim, measured: Mapping[str, Any], control: Mapping[str, Any]
) -> ControlOutcome | None:
    """Whether ``control`` decides as ``measured`` does, None if it cannot be computed.

    Both have a claim's ``effect``, ``high`` (log ratios), ``supported_p`` and ``contradicted_p``.
    If nothing is decided as measured, a control agrees if it supports the claim.
    """
    if control["effect"] is None:
        return None
    verdict = _decision(measured)
    decided = _decision(control)
    if "undecided" in (decided, verdict if control is measured else ""):
        return "undecided"
    if decided == ("supported" if verdict == "undecided" else verdict):
        return "agrees"
    if claim.test == "greater" and decided == "contradicted" and control["high"] >= 0:
        return "weaker"
    return "reversed"


def _decision(row: Mapping[str, Any]) -> str:
    for verdict in ("supported", "contradicted"):
        p = row[f"{verdict}_p"]
        if p is not None and p < 1 - CONFIDENCE_LEVEL:
            return verdict
    return "undecided"


def survival(controls: Sequence[Mapping[str, Any]]) -> Survival:
    """The word for one claim from its rows of LENGTH_CONTROL_SCHEMA: see above."""
    by_name = {row["control"]: row for row in controls}
    all_cells = by_name["measured"]["cells"]
    counting = [name for name in _AT_EQUAL_LENGTH if _counts(by_name.get(name), all_cells)]
    if not counting:
        return "cannot be told"
    if any(by_name[name]["outcome"] == "reversed" for name in counting):
        return "reversed"
    outcomes = [
        row["outcome"]
        for name, row in by_name.items()
        if name in _MUST_AGREE and (name in counting or name not in _AT_EQUAL_LENGTH)
    ]
    return "yes" if {outcome for outcome in outcomes if outcome} == {"agrees"} else "no"


def _counts(control: Mapping[str, Any] | None, all_cells: int) -> bool:
    if control is None or control["outcome"] is None:
        return False
    share = control["answer_share"]
    mostly_answer = share is None or share >= LEAST_ANSWER_SHARE
    return bool(mostly_answer and control["cells"] >= LEAST_CELL_SHARE * all_cells)


def with_survival(verdicts: pl.DataFrame, controls: pl.DataFrame) -> pl.DataFrame:
    """Verdicts with ``survives_length``: null for cells and for claims without ``controls``.

    A verdict may be undecided because cells disagree although the mean is decided. It has nothing
    to survive with, so it is not "yes".
    """
    words = {
        str(claim): survival(rows.to_dicts())
        for (claim,), rows in controls.group_by("claim", maintain_order=True)
    }
    word = pl.col("claim").replace_strict(words, default=None, return_dtype=pl.String)
    nothing = (pl.col("verdict") == "undecided") & (word == "yes")
    return verdicts.with_columns(
        pl.when(pl.col("level") == "overall", nothing)
        .then(pl.lit("no"))
        .when(pl.col("level") == "overall")
        .then(word)
        .alias("survives_length")
    )

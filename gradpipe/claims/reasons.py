"""The sentences that explain verdicts."""

from collections.abc import Mapping
from math import exp
from typing import Any

from gradpipe.claims.contrasts import Claim
from gradpipe.claims.inference.bootstrap import CONFIDENCE_LEVEL, MIN_ITEMS
from gradpipe.claims.inference.decisions import interval_level

#: Items are called skewed if at most this share of them is effective (``inference.skew``).
MOST_SKEWED_SHARE = 0.5
#: Cells are called correlated if they are worth fewer independent ones than this share of them.
MOST_CORRELATED_SHARE = 0.9

_SUPPORTED = {"greater": "above {m}", "within": "inside {i} to {m}", "not_greater": "below {m}"}
_CONTRADICTED = {
    "greater": "below {m}",
    "within": "outside {i} to {m}",
    "not_greater": "above {m}",
}
_PAIRINGS = {
    "response": " (paired by response)",
    "item": " (paired by item)",
    "unpaired": " (unpaired)",
    "mixed": " (paired by response or by item)",
}


def cell_reason(claim: Claim, row: Mapping[str, Any]) -> str:
    """The reason for a cell's verdict.

    ``row`` has its verdict, pairing, log ratios and p-values, and ``cells``: how many are judged.
    """
    if row["items"] < MIN_ITEMS:
        plural = "" if row["items"] == 1 else "s"
        return f"{row['items']} item{plural}, at least {MIN_ITEMS} are required"
    if not row["defined"]:
        return "the quantity is undefined here, or 0"
    if row["p"] is None:
        return f"noise may account for more than a quarter of a MAD at {row['items']} items"
    result = _result(claim, row, _interval(claim, row))
    if row["verdict"] != "undecided" or row["p"] >= 1 - CONFIDENCE_LEVEL:
        return result + _pairing(claim, row)
    return (
        f"{result}, but not significantly among {row['cells']} cells "
        f"(p = {row['p_adjusted']:.2g} after Holm's correction)"
        f"{_pairing(claim, row)}"
    )


def overall_reason(claim: Claim, row: Mapping[str, Any]) -> str:
    """The reason for the overall verdict; ``row`` also counts the cells that have no verdict."""
    cells = row["cells"]
    if not cells:
        return (
            f"no cell has the required {MIN_ITEMS} items"
            if row["most_items"] < MIN_ITEMS
            else "no cell can be judged, for the reasons given there"
        )
    mean = "" if claim.quantity == "layers" else " of the mean"
    over = "over" if mean else "in"
    interval = _interval(claim, row) + (f"{mean} {over} {cells} cells" if cells > 1 else "")
    agrees = row["verdict"] != "undecided" or row["p"] >= 1 - CONFIDENCE_LEVEL
    disagrees = "" if agrees else ", but not every cell agrees"
    return _result(claim, row, interval) + disagrees + _pairing(claim, row)


def cell_agreement(row: Mapping[str, Any]) -> str | None:
    """How many cells support and contradict a claim, are independent, and have no verdict.

    ``row`` is that of ``overall_reason``. None if no cell can be judged, or the only one is.
    """
    cells = row["cells"]
    parts = [
        f"{row[verb]} of {cells} cells {verb}{'s' if row[verb] == 1 else ''} it"
        for verb in ("support", "contradict")
        if row[verb] and cells > 1
    ]
    worth = row.get("independent_cells")
    if parts and worth is not None and worth < MOST_CORRELATED_SHARE * cells:
        ones = "one" if round(worth, 1) == 1 else "ones"
        parts.append(f"the {cells} cells are worth {round(worth, 1):g} independent {ones}")
    if cells and row["all_cells"] > cells:
        parts.append(f"{row['all_cells'] - cells} more cannot be judged")
    return "; ".join(parts) or None


def _result(claim: Claim, row: Mapping[str, Any], interval: str) -> str:
    """Where ``interval`` lies, or which layers lie outside."""
    if row["p"] >= 1 - CONFIDENCE_LEVEL:
        start, end = claim.region
        if claim.quantity != "layers" and (row["high"] < start or row["low"] > end):
            return f"{interval} lies {_where(claim, row)}, but the 95 % interval does not"
        return f"{interval} is inconclusive{_skewed(row)}"
    if claim.quantity == "layers" and row["supported_p"] > row["contradicted_p"]:
        lie = "lies" if row["outside"] == 1 else "lie"
        return f"{row['outside']} of {row['layers']} layers {lie} {_where(claim, row)}"
    return f"{interval} lies {_where(claim, row)}"


def _interval(claim: Claim, row: Mapping[str, Any]) -> str:
    ends = f"{_number(exp(row['low']))} to {_number(exp(row['high']))}"
    if claim.quantity == "layers":
        return f"the range of all {row['layers']} layers, {ends} by 95 % bounds,"
    if interval_level(claim.region) < CONFIDENCE_LEVEL:
        return f"the 90 % interval {ends}"
    return f"the interval {ends}"


def _skewed(row: Mapping[str, Any]) -> str:
    """How few items decide a cell's mean, if a few large ones outweigh most of the others."""
    effective = row.get("effective_units")
    if effective is None or effective > MOST_SKEWED_SHARE * row["units"]:
        return ""
    return f": items are skewed, so that they weigh as few as {_number(effective)} equal ones"


def _pairing(claim: Claim, row: Mapping[str, Any]) -> str:
    """What irrelevant responses are compared with, "" for claims on correct ones only."""
    relevances = {term.relevance for term in claim.terms}
    return _PAIRINGS[row["pairing"]] if relevances >= {"correct", "irrelevant"} else ""


def _where(claim: Claim, row: Mapping[str, Any]) -> str:
    supported = row["supported_p"] <= row["contradicted_p"]
    words = (_SUPPORTED if supported else _CONTRADICTED)[claim.test]
    return words.format(m=_number(claim.margin), i=_number(1 / claim.margin))


def _number(value: float) -> str:
    """Three significant digits, without an exponent below 1e10."""
    return f"{float(f'{value:.3g}'):.10g}" if value < 1e10 else f"{value:.3g}"

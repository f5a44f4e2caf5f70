"""Why a verdict is as it is, in words."""

from collections.abc import Mapping
from math import exp
from typing import Any

from gradpipe.claims.bootstrap import FEWEST_ITEMS, LEVEL
from gradpipe.claims.contrasts import Claim

_SUPPORTED = {"greater": "above {m}", "within": "inside {i} to {m}", "not_greater": "below {m}"}
_CONTRADICTED = {
    "greater": "below {m}",
    "within": "outside {i} to {m}",
    "not_greater": "above {m}",
}


def cell_reason(claim: Claim, row: Mapping[str, Any]) -> str:
    """A cell's reason; ``row`` has its verdict, log ratios and p-values, and ``cells``."""
    if row["items"] < FEWEST_ITEMS:
        plural = "" if row["items"] == 1 else "s"
        return f"{row['items']} item{plural}, at least {FEWEST_ITEMS} are needed"
    if not row["defined"]:
        return "the measure has no value here, or is 0"
    if row["p"] is None:
        return f"noise may be more than a quarter of a MAD at {row['items']} items"
    if row["verdict"] != "undecided":
        return f"{_interval(row)} lies {_where(claim, row)}"
    if row["p"] < 1 - LEVEL:
        return (
            f"{_interval(row)} lies {_where(claim, row)}, but not surely enough among "
            f"{row['cells']} cells (p = {row['p_adjusted']:.2g} after Holm's correction)"
        )
    return f"{_interval(row)} does not decide it"


def overall_reason(claim: Claim, row: Mapping[str, Any]) -> str:
    """The reason over all; ``row`` has also how many cells were judged, support and contradict."""
    cells = row["cells"]
    if not cells:
        return (
            f"no cell has the {FEWEST_ITEMS} items that are needed"
            if row["most_items"] < FEWEST_ITEMS
            else "no cell can be judged: the reasons stand there"
        )
    said = _interval(row) + (f" of the mean over {cells} cells" if cells > 1 else "")
    if row["p"] < 1 - LEVEL:
        said += f" lies {_where(claim, row)}"
        said += ", but not every cell agrees" if row["verdict"] == "undecided" else ""
    else:
        said += " does not decide it"
    for verb in ("support", "contradict"):
        if row[verb] and cells > 1:
            said += f"; {row[verb]} of {cells} cells {verb}{'s' if row[verb] == 1 else ''} it"
    if row["all_cells"] > cells:
        said += f"; {row['all_cells'] - cells} more cannot be judged"
    return said


def _interval(row: Mapping[str, Any]) -> str:
    return f"the interval {_number(exp(row['low']))} to {_number(exp(row['high']))}"


def _where(claim: Claim, row: Mapping[str, Any]) -> str:
    supported = row["supported_p"] <= row["contradicted_p"]
    words = (_SUPPORTED if supported else _CONTRADICTED)[claim.test]
    return words.format(m=_number(claim.margin), i=_number(1 / claim.margin))


def _number(value: float) -> str:
    """Three digits that count, never in powers of ten."""
    return f"{float(f'{value:.3g}'):.10g}" if value < 1e10 else f"{value:.3g}"

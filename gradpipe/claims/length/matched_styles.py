"""Styles of equal length, and how much of the loss of a padded answer is the answer's.

``none_padded`` is the bare answer after neutral text, so that it has the length of ``simplified``
(see gradpipe/responses/length_matched.py). Its loss is a mean over the tokens of both. A study's
own styles have variants that are cut to the length of the item's shortest response.
"""

from collections.abc import Sequence

import numpy as np

from gradpipe.claims.values import Array
from gradpipe.styles import CUT_SUFFIX, is_own_style

#: The variant of each style that has the length of ``simplified``.
MATCHED_STYLE = {"none": "none_padded", "simplified": "simplified", "detailed": "detailed_cut"}
#: Below this mean share of the answer, a comparison of padded answers is one of the padding.
LEAST_ANSWER_SHARE = 0.5


def matched_styles(styles: Sequence[str]) -> tuple[str, ...] | None:
    """The variants of these styles with equal length; None without such variants."""
    if set(styles) <= MATCHED_STYLE.keys():
        return tuple(MATCHED_STYLE[style] for style in styles)
    if all(is_own_style(style) for style in styles):
        return tuple(f"{style}{CUT_SUFFIX}" for style in styles)
    return None


def answer_shares(
    tokens: Array, curves: Sequence[tuple[str, str]], relevance: str = "correct"
) -> Array:
    """The answer's share of the loss tokens of ``none_padded``, per item: tokens of ``none`` / its.

    ``tokens`` is [item, curve], NaN for a missing response. Items without both responses are
    excluded. The result is empty if one of the styles is missing.
    """
    wanted = [(style, relevance) for style in ("none", MATCHED_STYLE["none"])]
    if not set(wanted) <= set(curves):
        return np.empty(0)
    answer, padded = (tokens[:, curves.index(curve)] for curve in wanted)
    known = (answer > 0) & (padded > 0)
    # A tokenizer may merge the answer with the text before it.
    shares: Array = np.minimum(answer[known] / padded[known], 1.0)
    return shares


def answer_share_text(shares: Array) -> str:
    """The range and mean of shares that ``answer_shares`` returned: "2 to 7 %, mean 5 %"."""
    ends = (shares.min(), shares.max(), shares.mean())
    low, high, mean = (f"{100 * share:.0f}" for share in ends)
    if low == high:
        return f"the answer is {mean} % of the loss tokens"
    return f"the answer is {low} to {high} % of the loss tokens, on average {mean} %"

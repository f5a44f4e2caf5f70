"""Definitions of the terms of the page, given where each first occurs."""

import re
from collections.abc import Iterable

#: In the order in which they are explained.
TERMS = {
    "nuclear norm": (
        "the sum of a gradient’s singular values: how strongly one example would change a weight "
        "matrix, over all directions"
    ),
    "effective rank": (
        "the number of directions over which a gradient is spread: the exponential of the entropy "
        "of its singular values’ shares"
    ),
    "MAD": (
        "mean absolute difference of a curve between adjacent layers: how uneven it is. It grows "
        "with the curve’s size; MAD / mean does not"
    ),
    "RD": (
        "relative difference of two curves, |correct − irrelevant| / |correct|, as a mean over "
        "layers"
    ),
    "cell": "one model, benchmark and projection",
    "projection": (
        "a weight matrix of a layer: the query, key, value or output projection (q, k, v, o) of "
        "its attention, or one of its MLP"
    ),
    "matched length": "responses of equal length: short ones padded, or long ones cut",
    "regression": "the same ratio at equal length, by a regression on the log of tokens",
    "summed loss": (
        "gradients of the sum of the tokens’ losses instead of their mean, so not divided by the "
        "number of tokens"
    ),
}


def explained(texts: Iterable[str], already: Iterable[str] = ()) -> list[tuple[str, str]]:
    """The terms in some texts with their definitions, without those explained ``already``."""
    text, known = " ".join(texts), set(already)
    return [
        (term, definition)
        for term, definition in TERMS.items()
        if term not in known and _occurs(term, text)
    ]


def _occurs(term: str, text: str) -> bool:
    # Capital letters count only for abbreviations: "Regression" is the term, "mad" is not.
    flags = 0 if term.isupper() else re.IGNORECASE
    return re.search(rf"\b{re.escape(term)}s?\b", text, flags) is not None

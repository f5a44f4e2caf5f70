"""Claims on responses to different items: two samples, which no item joins.

Data of low and of high quality are different items, so a comparison of the two is not paired. Both
are resampled in one bootstrap over all items, each of which belongs to one side: the mean curve of
a side is over its own items that were drawn. So the sides' errors are independent, and the number
of items per side varies a little, which can only widen the interval.
"""

import numpy as np
from numpy.typing import NDArray

from gradpipe.claims.contrasts import Claim
from gradpipe.claims.inference.bootstrap import degrees_of_freedom
from gradpipe.claims.values import Array
from gradpipe.styles import QUALITY_STYLES

#: The style of instruction data where it is compared with reasoning data.
INSTRUCTION_DATA = "instruction_data"
#: Styles whose responses belong to different items, unless an item has several of them.
_OF_DIFFERENT_ITEMS = frozenset((*QUALITY_STYLES, INSTRUCTION_DATA))


def usable_items(
    claim: Claim, present: NDArray[np.bool_]
) -> tuple[NDArray[np.bool_], NDArray[np.int64] | None]:
    """Which items a claim uses, [item, projection], and how many each side has if it is unpaired.

    ``present`` [term, item, projection]: which items have the curve of each of the claim's terms.
    Items with every curve are used. If no item has, and the terms are of styles of different items,
    every item with a curve is used. The second result is then [term, projection], otherwise None.
    """
    complete: NDArray[np.bool_] = np.logical_and.reduce(present)
    styles = {term.style for term in claim.terms}
    if complete.any() or len(styles) == 1 or not styles <= _OF_DIFFERENT_ITEMS:
        return complete, None
    return np.logical_or.reduce(present), present.sum(1)


def independent_items(sides: NDArray[np.int64]) -> tuple[NDArray[np.int64], Array]:
    """The number of items and the degrees of freedom, of sides [term, projection]: [projection].

    Both are those of the smallest side: Welch's degrees of freedom are never fewer.
    """
    fewest = sides.min(0)
    return fewest, degrees_of_freedom(fewest)

"""Comparisons of a study's own styles, as claims: which of two styles has the larger ratio.

Nobody expects a direction, so a verdict that such a claim is contradicted only says that the second
style is the larger one; `IS_LARGER` is what its statement says instead.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from gradpipe.claims.contrasts import Claim, Quantity, Term
from gradpipe.claims.schemas import COMPARISON_SOURCE
from gradpipe.styles import compared_styles
from gradpipe.system.hashing import content_hash

#: The part of a comparison's statement that the verdict decides about.
IS_LARGER = " is larger for "

_LONGEST_GROUP = 60


class _Compared(NamedTuple):
    quantity: Quantity
    statistic: str
    title: str
    subject: str
    #: The title of the comparison without the curves' size, if there is one.
    scale_free: str | None = None


_SCALE_FREE = "Unevenness relative to size"
_COMPARED = (
    _Compared(
        "mad",
        "nuclear_norm",
        "Unevenness over the layers",
        "the MAD of the nuclear norm's curve",
        _SCALE_FREE,
    ),
    _Compared(
        "relative_mad",
        "nuclear_norm",
        _SCALE_FREE,
        "the MAD of the nuclear norm's curve divided by the curve's mean",
    ),
    _Compared("mean", "nuclear_norm", "Size of the gradients", "the nuclear norm"),
    _Compared("mean", "effective_rank", "Effective rank", "the effective rank"),
)


def style_claims(
    styles: Sequence[str], statistics: Sequence[str], labels: Mapping[str, str] | None = None
) -> list[Claim]:
    """The comparisons of a study's own styles with one another and with the reasoning styles.

    ``styles`` are those of the study, in its order: the first of two is above the second in the
    ratio. Only ``statistics`` are compared. ``labels`` are the names that readers see.
    """
    shown = labels or {}
    return [
        _claim(compared, pair, [shown.get(style, style) for style in pair])
        for compared in _COMPARED
        if compared.statistic in statistics
        for pair in compared_styles(styles)
    ]


def _claim(compared: _Compared, pair: tuple[str, str], labels: Sequence[str]) -> Claim:
    def named(title: str) -> str:
        return f"{title}: {' / '.join(pair)}"

    name = named(compared.title)
    subject = compared.subject
    return Claim(
        claim=name,
        # It names a file of charts, whose name is cut.
        group=name if len(name) < _LONGEST_GROUP else f"{compared.title} {content_hash(*pair)}",
        title=f"{compared.title}, {' / '.join(labels)}",
        statement=f"{subject[0].upper()}{subject[1:]}{IS_LARGER}{labels[0]} than for {labels[1]}.",
        source=COMPARISON_SOURCE,
        terms=(Term(1, pair[0]), Term(-1, pair[1])),
        statistic=compared.statistic,
        quantity=compared.quantity,
        scale_free=compared.scale_free and named(compared.scale_free),
    )

"""Response styles and relevances: the two axes along which an item becomes examples.

STYLES are built in. A study may declare styles of its own, such as one per teacher: any other name
is such a style. Where no study says otherwise, they follow the built-in ones, sorted by name.
"""

from collections.abc import Collection, Iterable, Sequence
from itertools import combinations, pairwise

import polars as pl

REASONING_STYLES = ("none", "simplified", "detailed")
#: Variants of styles with the length of ``simplified``: see gradpipe.responses.length_matched.
MATCHED_STYLES = ("none_padded", "detailed_cut")
#: The answer of a thinking model without and with its thinking: two responses of one call.
THINKING_STYLES = ("answer_only", "thinking")
#: Styles of a given length, shortest first, each with its target length in tokens.
LENGTH_STYLES = {"length_100": 100, "length_500": 500, "length_1000": 1000}
KNOWLEDGE_STYLES = (*LENGTH_STYLES, "article")
#: The response that the data give, of whatever kind it is.
GIVEN = "given"
#: Responses of data of lower and of higher quality. An item has only one of them.
QUALITY_STYLES = ("quality_low", "quality_high")
STYLES = (
    *(*REASONING_STYLES, *MATCHED_STYLES, *THINKING_STYLES, *KNOWLEDGE_STYLES, GIVEN),
    *QUALITY_STYLES,
)
#: ``rejected``: the response that the data mark as worse than the given one, to the same question.
#: ``wrong``: on topic, with another final answer; see gradpipe.responses.wrong.
RELEVANCES = ("correct", "irrelevant", "rejected", "wrong")

#: What follows the name of an own style of which each response is cut to the length of the item's
#: shortest response: see gradpipe.responses.length_matched.
CUT_SUFFIX = "_cut"
#: Of more styles than this, only neighbors in their order are compared, not every two.
MOST_PAIRED_STYLES = 5


def is_own_style(style: str) -> bool:
    """Whether a style is none of the built-in ones."""
    return bool(style) and style not in STYLES


def sorted_styles(styles: Iterable[str]) -> list[str]:
    """The distinct styles: built-in ones in the order of STYLES, then the others by name."""
    present = set(styles)
    return [style for style in STYLES if style in present] + sorted(present.difference(STYLES))


def style_enum(*columns: pl.Series) -> pl.Enum:
    """A type that sorts styles as ``sorted_styles`` does, of STYLES and those in ``columns``."""
    present = {style for column in columns for style in column.drop_nulls().unique()}
    return pl.Enum(sorted_styles({*STYLES, *present}))


def uncut_style(style: str, styles: Collection[str]) -> str | None:
    """The own style among ``styles`` whose responses ``style`` cuts; None for any other style."""
    source = style.removesuffix(CUT_SUFFIX)
    is_cut = source != style and is_own_style(source) and source in styles
    return source if is_cut else None


def ordered_styles(present: Iterable[str], order: Sequence[str]) -> list[str]:
    """The distinct styles, those in ``order`` first, the others as ``sorted_styles`` does."""
    others = sorted_styles(present)
    return list(dict.fromkeys([*(style for style in order if style in others), *others]))


def own_style_pairs(present: Iterable[str], order: Sequence[str] = ()) -> list[tuple[str, str]]:
    """``compared_styles`` of those present, and the same pairs with their responses cut.

    They are in the order of ``ordered_styles``.
    """
    styles = ordered_styles(present, order)
    pairs = compared_styles(styles)
    cut = [
        (f"{a}{CUT_SUFFIX}", f"{b}{CUT_SUFFIX}")
        for a, b in pairs
        if is_own_style(a) and is_own_style(b)
    ]
    return pairs + [pair for pair in cut if set(pair) <= set(styles)]


def compared_styles(styles: Sequence[str]) -> list[tuple[str, str]]:
    """The pairs of styles to compare of which one is an own style at least, in the given order.

    They are every two of the reasoning styles and own styles, or of more than MOST_PAIRED_STYLES
    only neighbors. Styles of cut responses are left out.
    """
    whole = [
        style
        for style in dict.fromkeys(styles)
        if style in REASONING_STYLES or (is_own_style(style) and uncut_style(style, styles) is None)
    ]
    pairs = combinations(whole, 2) if len(whole) <= MOST_PAIRED_STYLES else pairwise(whole)
    return [pair for pair in pairs if any(is_own_style(style) for style in pair)]

"""Other styles at the length of the simplified style.

A mean loss ties gradients to response length, so these styles control for it. ``none_padded`` is
the bare answer after as much neutral text as the simplified response has reasoning.
``detailed_cut`` is the detailed response, cut after about as many tokens. Compared with
``simplified``, both change the style and keep the length.

A study's own styles have no simplified one among them. Each of their responses is cut to about the
length of the shortest that the item has in any of these styles, so that all have one length.
"""

import re
from collections.abc import Sequence
from itertools import accumulate, cycle

import polars as pl

from gradpipe.benchmarks.texts import FINAL_ANSWER
from gradpipe.errors import DataError, nearest
from gradpipe.responses.sentences import sentences
from gradpipe.responses.token_counts import CountTokens, count_words
from gradpipe.styles import MATCHED_STYLES

#: The style each matched style is made from; the target length is the simplified response's.
MATCHED_FROM = {"none_padded": "none", "detailed_cut": "detailed"}

#: Sentences that are neutral for any question and favor no answer, in the order of use.
NEUTRAL = (
    "There is a room with a table and a chair in it.",
    "The window looks out on a quiet street.",
    "A cup stands on the table beside a closed book.",
    "Outside a light wind moves the leaves of the trees.",
    "Somebody walks past now and then and is soon out of sight.",
    "The afternoon goes by at its own pace.",
    "A clock hangs on the wall and can be heard in the silence.",
    "Clouds drift over the roofs and the light in the room changes with them.",
    "The curtain stirs a little and hangs still again.",
    "On the shelf there are plates, a lamp and a basket of wool.",
    "The floor is made of wood and has been swept.",
    "Far away a bell rings for a while.",
    "A bird settles on the fence and then flies off.",
    "The air smells of rain and of grass.",
    "Across the street a door opens and is closed again.",
    "The shadows grow longer as the sun goes down.",
    "A path leads from the house through the garden to the gate.",
    "By the gate grows a bush with small white flowers.",
    "The water in the pond is smooth and mirrors the sky.",
    "Later the lamps are lit along the street.",
    "The colours fade and the shapes of things grow soft.",
    "In the kitchen a kettle begins to hum.",
    "Steam rises from it and clears away.",
    "The evening is calm and nothing is in a hurry.",
)
#: At most one of these follows, to match the length to within a word or two.
CLOSING = (
    "It is quiet.",
    "The day goes on.",
    "The light is soft and warm.",
    "A little time goes by like this.",
    "Nothing else happens for quite a long while.",
    "All of this goes on much as it did before.",
)


def matched_responses(
    responses: pl.DataFrame, style: str, count_tokens: CountTokens | None = None
) -> pl.DataFrame:
    """Build the responses of a matched style: ``item_id``, ``text``, in the order of the items.

    ``responses`` holds correct responses, one row per item and style: ``item_id``, ``style``,
    ``text``. Items without a simplified response or without the style's source (MATCHED_FROM) are
    skipped. ``none_padded`` ends on "The final answer is" and the answer. ``detailed_cut`` ends
    with the sentence whose end is nearest to the simplified length. It keeps at least the first
    sentence and seldom states an answer. Lengths are sums over sentences of the counts that
    ``count_tokens`` returns for each text; without it, words and punctuation marks are counted.

    Raises DataError if the style is not a matched style.
    """
    if style not in MATCHED_STYLES:
        raise DataError(f"no style {style!r} is made by length: {nearest(style, MATCHED_STYLES)}")
    pairs = _of_style(responses, MATCHED_FROM[style]).join(
        _of_style(responses, "simplified").rename({"text": "model"}),
        on="item_id",
        maintain_order="left",
    )
    count = count_tokens or count_words
    lengths = count(pairs["model"].to_list())
    make = _padded if style == "none_padded" else _cut
    texts = make(pairs["text"].to_list(), lengths, count)
    return pairs.select("item_id", pl.Series("text", texts, dtype=pl.String))


def cut_responses(
    responses: pl.DataFrame,
    style: str,
    own_styles: Sequence[str],
    count_tokens: CountTokens | None = None,
) -> pl.DataFrame:
    """Cut the responses of an own style to the length of each item's shortest in ``own_styles``.

    ``responses`` and the result are as in ``matched_responses``, with the same cuts. Items without
    a response in each of the styles are skipped: they could not be compared.
    """
    count = count_tokens or count_words
    own = responses.filter(pl.col("style").is_in(list(own_styles)), pl.col("text").is_not_null())
    own = own.unique(["item_id", "style"], keep="first", maintain_order=True)
    counted = own.with_columns(pl.Series("length", count(own["text"].to_list()), pl.Int64))
    whole = pl.col("style").n_unique().over("item_id") == len(set(own_styles))
    wanted = (
        counted.with_columns(shortest=pl.col("length").min().over("item_id"))
        .filter(whole)
        .filter(pl.col("style") == style)
    )
    texts = _cut(wanted["text"].to_list(), wanted["shortest"].to_list(), count)
    return wanted.select("item_id", pl.Series("text", texts, dtype=pl.String))


def _of_style(responses: pl.DataFrame, style: str) -> pl.DataFrame:
    found = responses.filter(pl.col("style") == style, pl.col("text").is_not_null())
    return found.unique("item_id", keep="first", maintain_order=True).select("item_id", "text")


def _padded(answers: list[str], lengths: list[int], count: CountTokens) -> list[str]:
    endings = [FINAL_ANSWER + answer for answer in answers]
    taken = count(endings)
    # Include the space before each sentence, as tokenizers see it in running text.
    weights = count([f" {sentence}" for sentence in NEUTRAL + CLOSING])
    neutral = dict(zip(NEUTRAL + CLOSING, weights, strict=True))
    return [
        (_neutral_text(length - own, neutral) + ending).lstrip()
        for ending, length, own in zip(endings, lengths, taken, strict=True)
    ]


def _neutral_text(length: int, weights: dict[str, int]) -> str:
    """Neutral sentences of about ``length`` tokens in total; empty if it is not positive."""
    chosen = []
    for sentence in cycle(NEUTRAL):
        if weights[sentence] > length:
            break
        chosen.append(sentence)
        length -= max(1, weights[sentence])
    closing = min(("", *CLOSING), key=lambda one: abs(length - weights.get(one, 0)))
    return " ".join([*chosen, closing]).strip()


def _cut(texts: list[str], lengths: list[int], count: CountTokens) -> list[str]:
    split = [_pieces(text) for text in texts]
    weights = iter(count([piece for part in split for piece in part]))
    cut = []
    for part, length in zip(split, lengths, strict=True):
        upto = list(accumulate(next(weights) for _ in part))
        end = min(range(len(part)), key=lambda last: abs(upto[last] - length))
        cut.append("".join(part[: end + 1]).rstrip())
    return cut


def _pieces(text: str) -> list[str]:
    """Split into sentences, and multi-line sentences into lines: a list's intro may be an end."""
    lines = (re.split(r"(?<=:\n)|(?<=:\n\n)", sentence) for sentence in sentences(text))
    return [line for part in lines for line in part if line] or [""]

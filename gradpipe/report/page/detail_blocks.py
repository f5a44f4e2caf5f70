"""The page's details of single examples, in blocks: texts, curves and the losses of tokens.

``("details", model, benchmark)`` has the examples with details: ``position`` is that of the example
in the block of examples, ``text`` that of its texts in ``("texts", benchmark)``, which all models
share. ``("example_curves", ...)`` and ``("token_losses", ...)`` have their values.
"""

from collections.abc import Iterator

import polars as pl

from gradpipe.report.page.pack import COARSE, packed
from gradpipe.statistics.example_details import spread_ranks
from gradpipe.statistics.examples import SCORES

_CELL = ["model", "benchmark"]
_EXAMPLE = ["item_id", "style", "relevance"]
_TEXTS = ["instruction", "response"]
#: Letters of all details of a page, roughly; and of a curve's value, a token's loss, a character.
MOST_DETAIL_LETTERS = 700_000
_OF_VALUE, _OF_LOSS, _OF_CHARACTER = 1.05, 1.7, 0.55

#: A key, and the packed text, as in blocks.py.
_Block = tuple[tuple[str, ...], str]


def kept_details(details: pl.DataFrame, room: int = MOST_DETAIL_LETTERS) -> pl.DataFrame:
    """Details of as many examples as fit in ``room`` letters, equally many of each cell."""
    models = max(details["model"].n_unique(), 1)
    values = pl.col("curves").list.len() * len(SCORES) * _OF_VALUE
    losses = pl.col("token_losses").list.len() * _OF_LOSS
    characters = sum(pl.col(name).str.len_chars() for name in _TEXTS) / models
    letters = values.fill_null(0) + losses.fill_null(0) + characters * _OF_CHARACTER
    cost = details.select(letters.mean().fill_null(1.0)).item()
    cells = details.partition_by(_CELL, maintain_order=True)
    most = max(int(room / max(cost, 1.0) / max(len(cells), 1)), 0)
    return pl.concat([details.clear(), *(one[spread_ranks(one.height, most)] for one in cells)])


def detail_blocks(shown: pl.DataFrame, details: pl.DataFrame) -> Iterator[_Block]:
    """The blocks of ``details``; ``shown`` are the rows of the blocks of examples."""
    places = shown.select(
        *_CELL, *_EXAMPLE, position=pl.int_range(pl.len(), dtype=pl.Int64).over(_CELL)
    )
    rows = details.join(places, on=[*_CELL, *_EXAMPLE], maintain_order="left")
    texts = rows.select("benchmark", *_TEXTS).unique(maintain_order=True)
    texts = texts.with_columns(text=pl.int_range(pl.len(), dtype=pl.Int64).over("benchmark"))
    for (benchmark,), part in texts.group_by("benchmark", maintain_order=True):
        yield ("texts", str(benchmark)), packed(part.select("text", *_TEXTS))
    numbered = rows.join(texts, on=["benchmark", *_TEXTS], maintain_order="left")
    for keys, part in numbered.group_by(_CELL, maintain_order=True):
        yield ("details", *map(str, keys)), packed(part.select("position", "text"))
        curves = part.select("position", "curves").explode("curves").unnest("curves")
        steps = dict.fromkeys(SCORES, COARSE)
        yield ("example_curves", *map(str, keys)), packed(curves, steps)
        losses = part.select("position", "token_losses").explode("token_losses").drop_nulls()
        yield ("token_losses", *map(str, keys)), packed(losses, {"token_losses": COARSE})

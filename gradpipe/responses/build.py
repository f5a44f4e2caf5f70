"""Turn items into examples: one (instruction, response) pair per style and relevance."""

from difflib import get_close_matches
from typing import Literal

import polars as pl

from gradpipe.benchmarks.items import SamplingMethod, ready_made
from gradpipe.benchmarks.samples import base_item, sample_number
from gradpipe.errors import DataError, nearest
from gradpipe.responses.examples import EXAMPLE_SCHEMA
from gradpipe.responses.sampled_donors import DrawResponses, draw_donors, draw_shuffles
from gradpipe.responses.wrong import Wrong, wrong_responses
from gradpipe.styles import (
    MATCHED_STYLES,
    RELEVANCES,
    STYLES,
    sorted_styles,
    style_enum,
    uncut_style,
)
from gradpipe.system.hashing import content_hash

#: Part of every examples table's version: increase it when the same items yield different examples.
RESPONSES_VERSION = "2"

#: The relevances that not every benchmark has.
OPTIONAL_RELEVANCES = {"rejected", "wrong"}

Irrelevant = Literal["derangement", "release", "release_as_published", "sentence_shuffle"]


def build_examples(
    items: pl.DataFrame,
    styles: list[str] | None,
    relevances: list[str],
    irrelevant: Irrelevant,
    seed: int,
    how: SamplingMethod = "first",
    *,
    wrong: Wrong = "edited",
) -> pl.DataFrame:
    """Build the examples (EXAMPLE_SCHEMA) of one benchmark, by index, style and relevance.

    If ``styles`` is None, every style of the items is used. ``irrelevant`` sets the origin of
    irrelevant responses: another item (``derangement``, seeded), shuffled sentences of several
    items (``sentence_shuffle``, seeded) or the source's own (``release``). ``how`` is the method by
    which the items were sampled; the first two origins are stable when a sample grows by that
    method. Rejected responses are the source's own. ``wrong`` sets the origin of wrong ones:
    correct responses, edited (seeded), or the items' own (``mismatches``). An empty response is an
    example; a missing response is skipped, and so is an irrelevant one that equals the item's own
    answer, unless ``release_as_published`` keeps it. A source has no irrelevant responses of a
    matched length.

    Raises DataError for a style or relevance that is unknown or that no item has, for items of
    several benchmarks, and when no irrelevant response can be drawn.
    """
    if items["benchmark"].n_unique() > 1:
        names = ", ".join(items["benchmark"].unique().sort())
        raise DataError(f"the items are of several benchmarks ({names}): build each by itself.")
    _known("relevance", relevances, RELEVANCES)
    responses = ready_made(items)
    wanted = _wanted_styles(items, styles)
    parts = [
        _of_relevance(
            responses,
            style,
            relevance=relevance,
            irrelevant=irrelevant,
            seed=seed,
            how=how,
            edits=wrong == "edited",
        )
        for style in wanted
        for relevance in dict.fromkeys(relevances)
    ]
    examples = pl.concat([responses.clear().with_columns(donor_item_id=pl.lit("")), *parts])
    if wanted and examples.is_empty() and set(relevances) <= OPTIONAL_RELEVANCES:
        raise DataError(
            f"{_name(items)} has no {' or '.join(relevances)} responses: add `correct` to "
            "`relevances`, or take data with rejected responses or with final answers."
        )
    ids = [_example_id(*row) for row in examples.select("instruction", "text", "context").rows()]
    return (
        examples.rename({"text": "response"})
        .with_columns(
            pl.Series("example_id", ids, dtype=pl.String),
            pl.lit(None, dtype=pl.String).alias("verdict"),
        )
        .sort(
            "index",
            sample_number(),
            pl.col("style").cast(style_enum(examples["style"])),
            pl.col("relevance").cast(pl.Enum(RELEVANCES)),
        )
        .select(list(EXAMPLE_SCHEMA))
    )


def _example_id(instruction: str | None, text: str | None, context: str | None) -> str:
    # As it has always been for plain pairs: rows that were computed earlier stay valid.
    pair = instruction, text
    return content_hash(*pair) if context is None else content_hash(*pair, context)


def available_styles(items: pl.DataFrame, relevance: str = "correct") -> list[str]:
    """The styles in which at least one item has a response of this relevance, sorted."""
    return sorted_styles(ready_made(items).filter(pl.col("relevance") == relevance)["style"])


def _wanted_styles(items: pl.DataFrame, styles: list[str] | None) -> list[str]:
    available = available_styles(items)
    if styles is None and items.height and not available:
        raise DataError(
            f"{_name(items)} has no responses: name the columns that hold them, or let a "
            "`generator` write them."
        )
    if styles is None:
        return available
    misspelled = [s for s in styles if s not in available and get_close_matches(s, STYLES)]
    _known("style", misspelled, STYLES)
    for style in styles:
        if style not in available:
            raise DataError(
                f"{_name(items)} has no response of the style {style!r}: "
                f"choose from {', '.join(available) or 'none at all'}."
            )
    return list(dict.fromkeys(styles))


def _of_relevance(
    responses: pl.DataFrame,
    style: str,
    *,
    relevance: str,
    irrelevant: Irrelevant,
    seed: int,
    how: SamplingMethod,
    edits: bool,
) -> pl.DataFrame:
    of_style = responses.filter(pl.col("style") == style)
    as_published = irrelevant == "release_as_published"
    if relevance == "irrelevant" and irrelevant != "release" and not as_published:
        draw = draw_donors if irrelevant == "derangement" else draw_shuffles
        return _drawn(draw, of_style, style, seed, how)
    if relevance == "wrong" and edits:
        correct = of_style.filter(pl.col("relevance") == "correct")
        return _in_place_of(correct, wrong_responses(correct, seed), relevance)
    found = of_style.filter(pl.col("relevance") == relevance)
    if relevance in OPTIONAL_RELEVANCES:
        # Few sources have such responses; the others have no examples of this relevance.
        return found.with_columns(donor_item_id=pl.lit(None, dtype=pl.String))
    # No source provides the length-matched styles, so with its own responses they have no
    # counterpart.
    made = style in MATCHED_STYLES or uncut_style(style, responses["style"])
    if found.is_empty() and not made:
        raise DataError(
            f"{_name(responses)} comes without irrelevant responses of the style {style!r}: "
            "let gradpipe draw them with `irrelevant: derangement`."
        )
    kept = found if as_published else found.filter(~_equals_the_answer())
    return kept.with_columns(donor_item_id=pl.lit(None, dtype=pl.String))


def _equals_the_answer() -> pl.Expr:
    """Whether a text is only the item's answer, ignoring case and spacing.

    Where the release redrew labels, they are correct in half of CREAK's rows: those are not
    irrelevant responses.
    """
    text, answer = (
        pl.col(name).str.to_lowercase().str.replace_all(r"\s+", " ").str.strip_chars()
        for name in ("text", "answer")
    )
    return (pl.col("relevance") == "irrelevant") & (text == answer).fill_null(value=False)


def _drawn(
    draw: DrawResponses,
    of_style: pl.DataFrame,
    style: str,
    seed: int,
    how: SamplingMethod,
) -> pl.DataFrame:
    correct = of_style.filter(pl.col("relevance") == "correct")
    drawn = draw(correct, str(correct["benchmark"].first()), style, seed, how)
    return _in_place_of(correct, drawn, "irrelevant")


def _in_place_of(correct: pl.DataFrame, made: pl.DataFrame, relevance: str) -> pl.DataFrame:
    """Responses that were made for items, with the items' other columns."""
    if "donor_item_id" not in made.columns:
        # Shuffled sentences are those of several items, and an edited response is the item's own.
        made = made.with_columns(donor_item_id=pl.lit(None, dtype=pl.String))
    # Samples share their item's columns.
    base = base_item().alias("base")
    own = correct.drop("text", "relevance").with_columns(base).unique("base", maintain_order=True)
    own = own.drop("item_id").join(made.with_columns(base), on="base", how="inner")
    return own.with_columns(relevance=pl.lit(relevance)).select(*correct.columns, "donor_item_id")


def _known(kind: str, names: list[str], known: tuple[str, ...]) -> None:
    for name in names:
        if name not in known:
            raise DataError(f"there is no {kind} {name!r}: {nearest(name, known)}")


def _name(items: pl.DataFrame) -> str:
    return (
        "a benchmark without items" if items.is_empty() else f"benchmark {items['benchmark'][0]!r}"
    )

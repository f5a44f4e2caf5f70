"""Verified responses: the gates found the gold answer in them."""

import polars as pl

from gradpipe.styles import RELEVANCES


def verified_examples(examples: pl.DataFrame) -> pl.DataFrame:
    """The examples without the responses that failed the gates, in the same order.

    ``examples`` has ``item_id``, ``style``, ``relevance``, ``donor_item_id`` and ``verdict`` of
    EXAMPLE_SCHEMA. A correct response is left out if its verdict is other than "passed", and an
    irrelevant one if it is the text of such a response. Responses without a verdict, such as bare
    answers, are kept. No response gets another partner, so rows that were computed stay valid.
    """
    key = ["item_id", "style"]
    failed = (pl.col("verdict") != "passed").fill_null(value=False)
    is_correct = pl.col("relevance") == RELEVANCES[0]
    of_failed = examples.filter(is_correct & failed).select(key)
    deranged = examples.filter(pl.col("donor_item_id").is_not_null()).select(
        *key, "relevance", pl.col("donor_item_id")
    )
    given = deranged.join(
        of_failed.rename({"item_id": "donor_item_id"}), on=["donor_item_id", "style"], how="semi"
    )
    return examples.filter(~(is_correct & failed)).join(
        given, on=[*key, "relevance"], how="anti", maintain_order="left"
    )

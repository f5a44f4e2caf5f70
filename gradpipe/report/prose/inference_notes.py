"""Sentences about how far a verdict reaches: other claims, correlated cells, other benchmarks."""

from collections.abc import Callable
from typing import Any

import polars as pl

from gradpipe.claims.reasons import MOST_CORRELATED_SHARE
from gradpipe.report.prose.phrases import interval_text, ratio_text, sentence_start


def correction_text(overall: dict[str, Any], word: Callable[[str], str] = str) -> str:
    """Why a verdict is not that of the claim alone, "" if the study's correction changes nothing.

    ``overall`` is an overall row of the verdicts, ``word`` the word for one of them.
    """
    if overall["verdict_study"] in (None, overall["verdict"]):
        return ""
    verdict = sentence_start(word(overall["verdict"]))
    return (
        f"{verdict} by itself (p = {overall['p']:.2g}), but not after "
        f"the correction for all claims of the study (p = {overall['p_study']:.2g})"
    )


def independence_text(overall: dict[str, Any], cells: int) -> str:
    """How many independent cells the ``cells`` are worth, "" if they are hardly correlated."""
    worth = overall["independent_cells"]
    if worth is None or worth >= MOST_CORRELATED_SHARE * cells:
        return ""
    ones = "one" if round(worth, 1) == 1 else "ones"
    return f", which are correlated and worth {round(worth, 1):g} independent {ones}"


def random_effects_text(rows: pl.DataFrame) -> str:
    """The ratio in the population of benchmarks and of models, "" without any rows."""
    parts = [
        f"{ratio_text(row['effect'])} ({interval_text(row['effect'], row['low'], row['high'])}; "
        f"{row['k']} {row['over']}s, I² = {row['i2']:.0%})"
        for row in rows.iter_rows(named=True)
    ]
    return f"Expected for others like them (random effects): {' and '.join(parts)}" if parts else ""

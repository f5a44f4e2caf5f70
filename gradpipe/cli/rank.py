"""A user's own file scored and ordered, without a workspace."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gradpipe.cli.extraction import extraction_options, how_to_extract
from gradpipe.errors import GradpipeError

if TYPE_CHECKING:
    import polars as pl

    from gradpipe.gradients.rows import Progress
    from gradpipe.gradients.tokens import Pair

#: Rows that are shown on the terminal, and characters of each text there.
SHOWN_ROWS = 10
SHOWN_CHARACTERS = 48


def _count_or_share(_: click.Context, __: click.Parameter, given: str | None) -> int | float | None:
    """A whole number of rows, or a share of them as a float."""
    if given is None:
        return None
    share = re.fullmatch(r"(\d+(?:\.\d*)?|\.\d+)(%?)", given)
    if share and not share[2] and share[1].isdigit() and int(share[1]):
        return int(share[1])
    value = float(share[1]) / (100 if share[2] else 1) if share else 0.0
    if not 0 < value <= 1:
        raise GradpipeError(
            f"--top cannot be {given!r}: give a number of rows, as 100, or a share of them, as 0.1 "
            "or 10%."
        )
    return value


@click.command("rank")
@click.argument("data", metavar="DATA")
@click.option(
    "--by",
    default="effective_rank",
    show_default=True,
    metavar="STATISTIC",
    help="What to score by: any statistic that a study can have.",
)
@click.option("--model", help="A hub id, a local folder, a .gguf file, or demo.")
@click.option(
    "--spectra",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="In place of --model: the table that `gradpipe extract` made of DATA.",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    help="The file to write (default: DATA's name with .ranked in front of its ending).",
)
@click.option("--overwrite", is_flag=True, help="Replace the file to write where there is one.")
@click.option("--ascending", is_flag=True, help="Smallest scores first (default: largest).")
@click.option(
    "--top",
    callback=_count_or_share,
    metavar="N|SHARE",
    help="Write the first rows only: so many, or a share of the usable ones, as 0.1 or 10%.",
)
@click.option("--prefix", default="", help="Put this in front of the names of the new columns.")
@extraction_options
def rank_command(
    data: str,
    by: str,
    model: str | None,
    spectra: Path | None,
    out: Path | None,
    overwrite: bool,
    ascending: bool,
    top: int | float | None,
    prefix: str,
    **how: Any,
) -> None:
    """Score every row of DATA by its gradient and put the rows in order.

    DATA is JSON, JSONL, CSV or Parquet with the columns instruction, optional input, and output. It
    is written again in the same format, every row as it was, with the columns score, rank and
    reason: why a row cannot be used. Such rows come last, without a score.

    A score is the mean over layers and projections of one statistic of the gradient that the row
    would train the model with:

    \b
    effective_rank   large: it pulls in many directions; small: in few
    nuclear_norm     large: a large update in all; small: hardly any
    sigma1_ratio     large: one direction has most of it; small: it is spread out
    tail_exponent    large: its main directions are about equal; small: few tower above

    Ranks grow with a row's length: compare like with like.

    The others are spectral_norm, frobenius_norm, stable_rank, nuclear_norm_over_loss,
    nuclear_norm_summed_loss, top4_energy, top16_energy and tail_distance.

    \b
    gradpipe rank data.jsonl --model demo --top 10%
    gradpipe rank data.jsonl --spectra spectra.parquet --by nuclear_norm --ascending
    """
    from gradpipe.cli.progress import ProgressView
    from gradpipe.standalone.rank_file import default_output, rank_file

    out = out or default_output(data)
    with ProgressView() as view:
        source = _source(model, spectra, how, lambda progress: view.extraction(data, progress))
        order = rank_file(
            data,
            out,
            by,
            source,
            ascending=ascending,
            top=top,
            prefix=prefix,
            overwrite=overwrite,
        )
    _show(order)
    unusable = order["score"].null_count()
    usable = order.height - unusable
    click.echo(
        f"{usable} rows by {by} in {out}"
        + (f", {unusable} unusable behind them" if unusable else "")
    )
    if not usable:
        raise click.exceptions.Exit(1)


def _source(
    model: str | None,
    spectra: Path | None,
    how: dict[str, Any],
    report: Callable[[Progress], None],
) -> Path | Callable[[list[Pair]], Iterable[pl.DataFrame]]:
    """Where the spectra come from: a table of them, or a model that is to give them."""
    if spectra is not None:
        given = [*(["--model"] if model else []), *_given(how)]
        if given:
            raise GradpipeError(
                f"--spectra holds gradients that are taken already: leave out {given[0]}, or take "
                "them anew without --spectra."
            )
        return spectra
    if model is None:
        raise GradpipeError(
            "There are no gradients to rank by: give --model, or --spectra with the table that "
            "`gradpipe extract` made of DATA."
        )
    from gradpipe.standalone.extract_file import extract_pairs

    protocol, placement = how_to_extract(**how)
    return partial(
        extract_pairs,
        model=model,
        protocol=protocol,
        report=report,
        placement=placement,
        aligned=False,
    )


def _given(names: Iterable[str]) -> list[str]:
    """Those options that the user typed."""
    context = click.get_current_context()
    typed = click.core.ParameterSource.COMMANDLINE
    return [
        option.opts[0]
        for option in context.command.params
        if option.name in names and context.get_parameter_source(option.name) is typed
    ]


def _show(order: pl.DataFrame) -> None:
    """The first rows as a table; ``row`` is the row's number in the user's file."""
    from gradpipe.cli.progress import print_table

    first = order.drop_nulls("score").head(SHOWN_ROWS)
    columns = ("rank", "score", "row", "instruction", "response")
    print_table(
        columns,
        (
            (str(rank), f"{score:.5g}", str(row), _short(instruction), _short(response))
            for rank, score, row, instruction, response in first.select(columns).rows()
        ),
    )


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= SHOWN_CHARACTERS else line[: SHOWN_CHARACTERS - 1] + "…"

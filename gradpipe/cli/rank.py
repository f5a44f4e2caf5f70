"""``gradpipe rank``: score and sort the rows of one file, without a workspace."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gradpipe.cli.data_rows import DataRows, data_rows_options
from gradpipe.cli.engine_options import engine_options
from gradpipe.cli.extraction import data_source, extraction_options
from gradpipe.cli.name_completion import complete_statistics
from gradpipe.cli.ranker import ranker_of
from gradpipe.cli.spectra_options import spectra_options, spectra_source
from gradpipe.cli.work_folder import downloads_folder, work_option
from gradpipe.errors import GradpipeError
from gradpipe.untrusted.terminal_text import without_controls

if TYPE_CHECKING:
    import polars as pl

    from gradpipe.standalone.extra_scores import Extras

#: Number of rows printed on the terminal, and of characters per text.
SHOWN_ROWS = 10
SHOWN_CHARACTERS = 48


def _count_or_share(_: click.Context, __: click.Parameter, given: str | None) -> int | float | None:
    """Parse a number of rows (an integer) or a share of them (a float)."""
    if given is None:
        return None
    share = re.fullmatch(r"(\d+(?:\.\d*)?|\.\d+)(%?)", given)
    if share and not share[2] and share[1].isdigit() and int(share[1]):
        return int(share[1])
    value = float(share[1]) / (100 if share[2] else 1) if share else 0.0
    if not 0 < value <= 1:
        raise GradpipeError(
            f"--top {given!r} is invalid: give a number of rows, for example 100, or a share of "
            "them, for example 0.1 or 10%."
        )
    return value


class RankCommand(click.Command):
    """A command whose help page ends with the names of all statistics."""

    def format_help_text(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the docstring, then the names."""
        super().format_help_text(ctx, formatter)
        formatter.write_paragraph()
        with formatter.indentation():
            formatter.write_text(f"Statistics: {', '.join(statistic_names())}.")


def statistic_names() -> list[str]:
    """The names of all statistics."""
    from gradpipe.statistics.reductions import REDUCTIONS

    return list(REDUCTIONS)


@click.command("rank", cls=RankCommand)
@click.argument("data", metavar="DATA")
@click.option(
    "--by",
    default="effective_rank",
    show_default=True,
    metavar="STATISTIC",
    shell_complete=complete_statistics,
    help="The statistic to score by.",
)
@spectra_options
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    help="The file to write (default: DATA's name with .ranked before the extension).",
)
@click.option("--overwrite", is_flag=True, help="Replace the output file if it exists.")
@click.option("--ascending", is_flag=True, help="Smallest scores first (default: largest first).")
@click.option(
    "--top",
    callback=_count_or_share,
    metavar="N|SHARE",
    help="Write only the first N rows, or a share of the usable rows, for example 0.1 or 10%.",
)
@click.option(
    "--target",
    metavar="FILE",
    help="Add each row's cosine with the mean gradient of this file's rows, and sort by it.",
)
@click.option(
    "--diverse",
    is_flag=True,
    help="Choose rows with different gradients one after another; --top gives their number.",
)
@click.option(
    "--with",
    "extra",
    metavar="LIST",
    help="Add any of loss,tokens,ppl,ifd, separated by commas.",
)
@click.option(
    "--sort",
    metavar="COLUMN",
    help="The new column to sort by (default: target_cosine with --target, otherwise score).",
)
@click.option("--prefix", default="", help="Prefix for the names of the new columns.")
@click.option(
    "--keep-spectra",
    is_flag=True,
    help="With --work: keep spectra too, for `extract` and other statistics.",
)
@work_option
@data_rows_options
@engine_options
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
    target: str | None,
    diverse: bool,
    extra: str | None,
    sort: str | None,
    prefix: str,
    keep_spectra: bool,
    work: Path | None,
    rows: DataRows,
    engine: str,
    ray: tuple[str, ...],
    **how: Any,
) -> None:
    """Score every row of DATA by its gradient and sort the rows.

    DATA is a JSON, JSONL, CSV, TSV, Parquet or Arrow file, a folder or quoted pattern of such
    files, a folder that `Dataset.save_to_disk` wrote, or hub:ORG/NAME, a data set of the Hugging
    Face hub. Its columns are those of any format of training data, such as messages, or
    instruction, input (optional) and output; the format found is printed. The output file has the
    same format (Parquet for a data set of the hub) and the same rows, with three more columns:
    score, rank, and reason, which says why a row cannot be used. Such rows come last, without a
    score.

    A score is the mean of one statistic over the layers and projections of the row's gradient:

    \b
    effective_rank   large: the gradient has many directions; small: few
    nuclear_norm     large: the gradient is large in total; small: close to zero
    sigma1_ratio     large: one direction dominates; small: many contribute
    tail_exponent    large: the main directions are about equal; small: few dominate

    Scores grow or shrink with a response's length: compare rows of similar length.

    With --model, finished scores are kept in OUT.work until the output is complete: if the command
    is stopped, run it again to compute the others.

    More columns: target_cosine and target_cosine_max say how far a row's gradient points where the
    mean gradient of --target, or the most similar row of it, points. diverse_rank is the order in
    which --diverse chooses. loss is in nats per response token, and response_tokens their number;
    perplexity is exp(loss); ifd is the perplexity over that of the response without its
    instruction.

    \b
    gradpipe rank data.jsonl --model demo --top 10%
    gradpipe rank data.jsonl --model demo --target wanted.jsonl --with loss,ifd
    gradpipe rank data.jsonl --model demo --diverse --top 100
    gradpipe rank data.jsonl --spectra spectra.parquet --by nuclear_norm --ascending
    """
    from gradpipe.standalone.input_files import refuse_inputs
    from gradpipe.standalone.rank_examples import RankOrder
    from gradpipe.standalone.rank_file import default_output, write_ranking

    if diverse and sort is not None:
        raise GradpipeError("--diverse has an order of its own: leave out --sort.")
    if keep_spectra and (work is None or spectra is not None):
        raise GradpipeError(
            "--keep-spectra keeps what --model computes in the folder --work: add it."
        )
    named = rows.source(data)
    extras = _extras(target, diverse, extra, rows)
    order = RankOrder(by=by, extras=extras, sort=sort, ascending=ascending, top=top)
    out = out or default_output(named)
    refuse_inputs(out, [named, target, spectra])
    chunks = rows.chunks(named, downloads_folder(work, out))
    ranker = ranker_of(
        spectra_source(model, spectra, how, lambda _: None, "engine", "ray"),
        chunks,
        order,
        data=data,
        work=work,
        out=out,
        keep_spectra=keep_spectra,
        engine=engine,
        ray=ray,
    )
    with ranker as rank:
        ranked = write_ranking(chunks, out, order, rank, prefix=prefix, overwrite=overwrite)
    _show(ranked)
    unusable = ranked["reason"].count()
    usable = ranked.height - unusable
    ranked_by = f"ranked by {by if order.sorted_by == 'score' else order.sorted_by}"
    click.echo(
        f"{usable} rows {'chosen for diversity' if diverse else ranked_by} in {out}"
        + (f", followed by {unusable} unusable rows" if unusable else "")
    )
    if not usable:
        raise click.exceptions.Exit(1)


def _extras(
    target: str | None,
    diverse: bool,
    names: str | None,
    rows: DataRows,
) -> Extras:
    """The scores that the options add."""
    from gradpipe.standalone.data_source import rows_of_source
    from gradpipe.standalone.extra_scores import Extras
    from gradpipe.standalone.user_examples import examples_of_table

    examples = None
    if target is not None:
        table = rows_of_source(data_source(target, None, None, None))
        examples = examples_of_table(table, target, rows.columns, rows.response_template)
    given = [] if names is None else [name.strip() for name in names.split(",")]
    return Extras(names=given, target=examples, target_name=target or "", diverse=diverse)


def _show(ranked: pl.DataFrame) -> None:
    """Print the first usable rows; ``row`` is the row's number in the user's file."""
    from gradpipe.cli.progress import print_table

    first = ranked.filter(ranked["reason"].is_null()).drop("reason").head(SHOWN_ROWS)
    texts = ["instruction", "response"]
    leading = ["rank", "score"]
    numbers = [name for name in first.columns if name not in ("row", *leading, *texts)]
    columns = (*leading, *numbers, "row", *texts)
    print_table(columns, (tuple(map(_cell, row)) for row in first.select(columns).rows()))


def _cell(value: float | str | None) -> str:
    if isinstance(value, float):
        return f"{value:.5g}"
    return _short(value) if value is None or isinstance(value, str) else str(value)


def _short(text: str | None) -> str:
    line = without_controls(" ".join((text or "").split()))
    return line if len(line) <= SHOWN_CHARACTERS else line[: SHOWN_CHARACTERS - 1] + "…"

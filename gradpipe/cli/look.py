"""``gradpipe look``: what a data file holds for a model, before anything is computed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from gradpipe.cli.extraction import BASE_OPTION, data_options, data_source
from gradpipe.cli.options import columns_option, model_option, response_template_option
from gradpipe.cli.token_options import span_options, token_options, token_settings
from gradpipe.untrusted.terminal_text import without_controls

if TYPE_CHECKING:
    import polars as pl

    from gradpipe.standalone.look import DataView, RenderedExample, TextPiece

#: Characters shown of a piece of text, at its beginning and at its end.
PIECE_CHARACTERS = 400
#: Reasons of unusable rows, and columns, that are listed.
SHOWN_REASONS, SHOWN_COLUMNS = 10, 30
#: What encloses text that carries loss.
LOSS_OPENS, LOSS_CLOSES = "⟦", "⟧"


@click.command()
@click.argument("data", metavar="DATA")
@model_option
@click.option(
    "--examples", default=3, show_default=True, type=click.IntRange(min=0), help="Rows to render."
)
@click.option(
    "--offset", default=0, type=click.IntRange(min=0), help="Number of rows of DATA to skip."
)
@click.option(
    "--limit",
    default=1000,
    show_default=True,
    type=click.IntRange(min=1),
    help="Maximum number of rows to read.",
)
@data_options
@columns_option
@response_template_option
@BASE_OPTION
@token_options
@span_options
def look(
    data: str,
    model: str,
    examples: int,
    offset: int,
    limit: int,
    config: str | None,
    split: str | None,
    revision: str | None,
    columns: dict[str, str] | None,
    response_template: str | None,
    base: str | None,
    protocol: str,
    tokenizer: str | None,
    **tokens: Any,
) -> None:
    """Show what DATA holds for a model before computing anything.

    DATA is that of `gradpipe extract`. Shown are the format found, the columns, the lengths in
    tokens, the rows that cannot be used and why, and some rows as the model reads them, with the
    tokens that carry loss in ⟦brackets⟧. Only the tokenizer is loaded.
    """
    from gradpipe.gradients.protocol import make_protocol
    from gradpipe.standalone.look import look_at

    chosen = make_protocol(protocol, **token_settings(**tokens))
    view = look_at(
        data_source(data, config, split, revision),
        model,
        chosen,
        columns=columns,
        response_template=response_template,
        offset=offset,
        limit=limit,
        shown=examples,
        tokenizer=tokenizer,
        base=base,
    )
    _show(view, data, model, protocol, limit)
    if view.lengths.is_empty():
        raise click.exceptions.Exit(1)


def _show(view: DataView, data: str, model: str, protocol: str, limit: int) -> None:
    rows = f"{view.rows:,} row{'' if view.rows == 1 else 's'}"
    rows = f"the first {rows}" if view.rows == limit else rows
    click.echo(f"{data}, {rows}: {view.format}")
    _show_table(
        ["column", "type", "role"],
        [(c, _shortened(t, 60), r or "") for c, t, r in view.columns.head(SHOWN_COLUMNS).rows()],
    )
    click.echo(f"\n{model}, protocol {protocol}, window of {view.window:,} tokens")
    for note in view.notes:
        click.echo(f"  {note}")
    if not view.lengths.is_empty():
        _show_lengths(view.lengths)
    if view.truncated:
        click.echo(f"  rows that are longer than the window: {view.truncated:,}")
    _show_unusable(view.unusable)
    for example in view.examples:
        _show_example(example)


def _show_lengths(lengths: pl.DataFrame) -> None:
    names = {"tokens": "tokens", "response_tokens": "tokens with loss"}
    _show_table(
        ["per row", "min", "median", "90%", "max"],
        [(names[name], *(f"{n:,.0f}" for n in numbers)) for name, *numbers in lengths.rows()],
    )


def _show_unusable(unusable: pl.DataFrame) -> None:
    if unusable.is_empty():
        return
    click.echo(f"\nrows that cannot be used: {unusable['rows'].sum():,}")
    for reason, rows, first in unusable.head(SHOWN_REASONS).rows():
        click.echo(f"  {rows:>6,}  {without_controls(reason)} (first: row {first})")
    if unusable.height > SHOWN_REASONS:
        click.echo(f"  and {unusable.height - SHOWN_REASONS} more reasons")


def _show_example(example: RenderedExample) -> None:
    cut = ", cut to the window" if example.truncated else ""
    click.echo(
        f"\nrow {example.row}: {example.tokens:,} tokens, "
        f"{example.response_tokens:,} with loss{cut}"
    )
    click.echo("".join(map(_marked, example.pieces)))


def _marked(piece: TextPiece) -> str:
    text = without_controls(_shortened(piece.text, 2 * PIECE_CHARACTERS))
    if not piece.loss:
        return click.style(text, dim=True)
    span = f"{piece.span}: " if piece.span else ""
    return (
        click.style(f"{LOSS_OPENS}{span}", fg="green") + text + click.style(LOSS_CLOSES, fg="green")
    )


def _shortened(text: str, most: int) -> str:
    half = most // 2
    if len(text) <= most:
        return text
    return f"{text[:half]} [... {len(text) - 2 * half:,} characters ...] {text[-half:]}"


def _show_table(header: list[str], rows: list[tuple[str, ...]]) -> None:
    widths = [max(map(len, column)) for column in zip(header, *rows, strict=True)]
    for row in (header, *rows):
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=True)]
        click.echo("  " + "  ".join(cells).rstrip())

"""``gradpipe correlate``: relate a column of one file to the statistics of its gradients."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gradpipe.cli.extraction import data_options, data_source, extraction_options
from gradpipe.cli.name_completion import complete_statistics
from gradpipe.cli.options import account_option, columns_option, response_template_option
from gradpipe.cli.spectra_options import spectra_options, spectra_source
from gradpipe.errors import GradpipeError

if TYPE_CHECKING:
    import polars as pl

#: Rows printed on the terminal beside the baselines.
SHOWN_CORRELATIONS = 15
_BASELINES = ("loss", "response_tokens")
_FORMATS = (".csv", ".parquet")


@click.command("correlate")
@click.argument("data", metavar="DATA")
@click.option("--column", required=True, metavar="NAME", help="A column of DATA with numbers.")
@spectra_options
@click.option(
    "--by",
    metavar="LIST",
    shell_complete=complete_statistics,
    help="Statistics, separated by commas (default: all there are).",
)
@click.option(
    "--control",
    default="response_tokens",
    show_default=True,
    metavar="LIST",
    help="What the partial correlations hold constant: any of response_tokens,tokens,loss.",
)
@click.option(
    "--out", type=click.Path(path_type=Path), help="A .csv or .parquet file for the whole table."
)
@click.option("--overwrite", is_flag=True, help="Replace the output file if it exists.")
@account_option
@data_options
@columns_option
@response_template_option
@extraction_options
def correlate_command(
    data: str,
    column: str,
    model: str | None,
    spectra: Path | None,
    by: str | None,
    control: str,
    out: Path | None,
    overwrite: bool,
    as_json: bool,
    config: str | None,
    split: str | None,
    revision: str | None,
    columns: dict[str, str] | None,
    response_template: str | None,
    **how: Any,
) -> None:
    """Correlate a numeric column of DATA with every statistic of its rows' gradients.

    DATA is that of `gradpipe extract`; the column is any grade, label or score. The table has one
    row per statistic, projection and layer, and rows for means over layers and over all: Spearman's
    rho with its 95 % interval and p-value, and the partial rho, which holds the length of the
    response constant. Read the partial one: most statistics change with length, and so do many
    grades. Printed are the rows with the largest partial rho; p-values are corrected for the whole
    table (Holm).

    \b
    gradpipe correlate data.jsonl --column quality --model demo
    gradpipe correlate data.csv --column grade --spectra spectra.parquet --out grades.csv
    """
    from gradpipe.cli.progress import ProgressView
    from gradpipe.standalone.correlate_file import correlate_file
    from gradpipe.standalone.input_files import refuse_inputs

    if out is not None:
        _check_out(out, overwrite)
    source_of_data = data_source(data, config, split, revision)
    if out is not None:
        refuse_inputs(out, [source_of_data, spectra])
    with ProgressView() as view:
        source = spectra_source(
            model, spectra, how, lambda progress: view.extraction(data, progress)
        )
        table = correlate_file(
            source_of_data,
            column,
            source,
            None if by is None else _names(by),
            controls=_names(control),
            columns=columns,
            response_template=response_template,
        )
    _show(table)
    examples = max(table["examples"].to_list(), default=0)
    click.echo(
        f"{examples} examples; the partial correlations hold {' and '.join(_names(control))} "
        "constant"
    )
    if out is not None:
        _write(table, out)
        click.echo(f"{table.height} correlations in {out}")
    if as_json:
        click.echo(json.dumps({"column": column, "correlations": table.to_dicts()}))


def _names(given: str) -> list[str]:
    return [name.strip() for name in given.split(",") if name.strip()]


def _check_out(out: Path, overwrite: bool) -> None:
    from gradpipe.standalone.output_file import check_writable

    if out.suffix.lower() not in _FORMATS:
        raise GradpipeError(f"{out} must be a table: end its name in .csv or .parquet.")
    if out.exists() and not overwrite:
        raise GradpipeError(
            f"{out} already exists: give another --out, or replace it by --overwrite."
        )
    check_writable(out)


def _write(table: pl.DataFrame, out: Path) -> None:
    from gradpipe.standalone.output_file import write_atomically

    write = table.write_csv if out.suffix.lower() == ".csv" else table.write_parquet
    write_atomically(out, write)


def _show(table: pl.DataFrame) -> None:
    """Print the baselines, then the rows with the largest partial correlations."""
    import polars as pl

    from gradpipe.cli.progress import print_table

    baseline = pl.col("statistic").is_in(_BASELINES)
    strongest = (
        table.filter(~baseline)
        .drop_nulls("partial_rho")
        .sort(pl.col("partial_rho").abs(), descending=True, maintain_order=True)
        .head(SHOWN_CORRELATIONS)
    )
    print_table(
        ("statistic", "projection", "layer", "rho", "95 %", "p", "partial", "95 %", "p"),
        map(_cells, pl.concat([table.filter(baseline), strongest]).iter_rows(named=True)),
    )


def _cells(row: dict[str, Any]) -> tuple[str, ...]:
    place = ("", "") if row["statistic"] in _BASELINES else _place(row)
    kinds = ("", "partial_")
    return (row["statistic"], *place, *(cell for kind in kinds for cell in _estimate(row, kind)))


def _place(row: dict[str, Any]) -> tuple[str, str]:
    layer = "mean" if row["layer"] is None else str(row["layer"])
    return row["projection"] or "all", layer


def _estimate(row: dict[str, Any], kind: str) -> tuple[str, str, str]:
    rho, low, high = (row[f"{kind}{name}"] for name in ("rho", "rho_low", "rho_high"))
    if rho is None:
        return "", "", ""
    interval = "" if low is None else f"[{low:.2f}, {high:.2f}]"
    p = row[f"{kind}p_holm"]
    return f"{rho:.2f}", interval, "" if p is None else f"{p:.2g}"

"""``gradpipe estimate``: the cost of a study, of a backfill, or of hypothetical work."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

from gradpipe.cli.options import current_workspace, study_option, workspace_option
from gradpipe.errors import GradpipeError

if TYPE_CHECKING:
    from assets.planning.second_opinions import OpinionBill
    from gradpipe.generators.bill import GeneratorBill
    from gradpipe.studies.study import Study
    from storage.workspace import Workspace


#: Tokens of an example and of its response, unless the user says how many.
TOKENS, RESPONSE_TOKENS = 600, 400


@click.command("estimate")
@study_option
@click.option(
    "--calibration/--no-calibration",
    "calibration",
    default=None,
    help="Time a few batches of every model, or of none (default: of models without rows).",
)
@click.option(
    "--power",
    is_flag=False,
    flag_value=0.8,
    type=click.FloatRange(0, 1, min_open=True, max_open=True),
    metavar="[SHARE]",
    help="Instead, how many items decide each claim with this probability [0.8], from the results "
    "that the workspace has.",
)
@click.option(
    "--model",
    metavar="SHAPE",
    help="Estimate without a study: a model such as 70b or llama-3.1-8b, a folder, a hub id, or "
    "layers=80,hidden=8192,... The options below need it.",
)
@click.option("--examples", type=click.IntRange(min=1), help="Number of examples.")
@click.option("--tokens", type=click.IntRange(min=2), help="Tokens per example [600].")
@click.option(
    "--response-tokens",
    type=click.IntRange(min=1),
    help="Of these, tokens of the response [400, or all if there are fewer].",
)
@click.option("--gpus", type=click.IntRange(1, 100_000), help="Number of GPUs [1].")
@click.option("--gpu", metavar="NAME", help="h100, h200, a100, l40s, rtx4090 or mi300x [h100].")
@click.option("--dtype", metavar="NAME", help="bfloat16, float16 or float32 [bfloat16].")
@click.option(
    "--utilization",
    "--utilisation",
    type=click.FloatRange(0, 1, min_open=True),
    help="Share of the GPU's peak that forward and backward passes reach [0.4].",
)
@click.option(
    "--spectra-utilization",
    "--spectra-utilisation",
    type=click.FloatRange(0, 1, min_open=True),
    help="Share of the GPU's float64 peak that the spectra reach [0.1].",
)
@click.option(
    "--gradient-checkpointing",
    "checkpointing",
    is_flag=True,
    default=None,
    help="Recompute each layer's activations in the backward pass.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of a table.")
@workspace_option
def estimate_command(
    study: str | None,
    calibration: bool | None,
    power: float | None,
    model: str | None,
    as_json: bool,
    **setting: Any,
) -> None:
    """Estimate the time, memory and disk space of a study.

    Also prints tokens and FLOPs; writes nothing. Without --model, the estimate is for the missing
    rows of the study (by default the workspace's). The time comes from computed rows of the same
    model. Without such rows, it comes from a calibration of about a minute, which loads the model
    and times a few batches.

    With --model, the estimate is calculated from the model's shape, for machines that you do not
    have: `gradpipe estimate --model 70b --examples 1000000 --gpus 64`. Its assumptions are printed.

    With --power, the study's own results serve as a pilot: their variances say how many items per
    benchmark each claim needs.
    """
    given = {name: value for name, value in setting.items() if value is not None}
    if model is not None:
        if study is not None or calibration is not None or power is not None:
            raise GradpipeError(
                "--model estimates without a study and without a calibration: leave out --study, "
                "--calibration, --no-calibration and --power."
            )
        _print_bill(model, given, as_json)
        return
    if given:
        options = {
            option.name: option.opts[0] for option in click.get_current_context().command.params
        }
        raise GradpipeError(f"{options[min(given)]} needs --model: give --model too.")
    from gradpipe.studies.load import load_study

    workspace = current_workspace()
    chosen = workspace.expand(load_study(study)) if study else workspace.study()
    if power is not None:
        from gradpipe.cli.power import print_power

        print_power(workspace, chosen, power, as_json)
        return
    _print_study(workspace, chosen, calibration, as_json)


def print_dry_run(
    workspace: Workspace,
    study: Study,
    models: tuple[str, ...] | None,
    benchmarks: tuple[str, ...] | None,
    as_json: bool,
) -> None:
    """Print what a backfill of some models and benchmarks would compute, as a table or JSON."""
    from dataclasses import asdict

    from assets.planning.costs import (
        ESTIMATE_COLUMNS,
        estimates,
        generation_bills,
        opinion_bills,
        total,
    )
    from assets.planning.plan import Plan
    from assets.planning.versions import Versions
    from gradpipe.cli.progress import print_table

    plan = Plan(Versions(workspace, study), models, benchmarks)
    cells, bills, opinions = list(estimates(plan)), generation_bills(plan), opinion_bills(plan)
    if as_json:
        records = [asdict(cell) for cell in cells]
        click.echo(json.dumps(records + _generation(bills) + _opinions(opinions)))
    else:
        print_table(ESTIMATE_COLUMNS, (cell.cells() for cell in (*cells, total(cells))))
        _print_generation(bills)
        _print_opinions(opinions)


def _print_study(
    workspace: Workspace, study: Study, calibration: bool | None, as_json: bool
) -> None:
    from dataclasses import asdict

    from assets.planning.costs import (
        BILL_COLUMNS,
        estimates,
        generation_bills,
        opinion_bills,
        total,
    )
    from assets.planning.plan import Plan
    from assets.planning.versions import Versions
    from gradpipe.cli.progress import print_table

    plan = Plan(Versions(workspace, study))
    cells = list(estimates(plan, calibration is not False, ignore_measured=calibration is True))
    bills, opinions = generation_bills(plan), opinion_bills(plan)
    if as_json:
        record = {"cells": [asdict(cell) for cell in cells], "total": asdict(total(cells))}
        record |= {"generation": _generation(bills)} if bills else {}
        record |= {"second_opinions": _opinions(opinions)} if opinions else {}
        click.echo(json.dumps(record))
    else:
        print_table(BILL_COLUMNS, (cell.bill() for cell in (*cells, total(cells))))
        _print_generation(bills)
        _print_opinions(opinions)


def _generation(bills: dict[str, GeneratorBill]) -> list[dict[str, Any]]:
    from dataclasses import asdict

    return [{"benchmark": benchmark, **asdict(bill)} for benchmark, bill in bills.items()]


def _print_generation(bills: dict[str, GeneratorBill]) -> None:
    if bills:
        click.echo("\nResponses still to be generated, not included above:")
    for benchmark, bill in bills.items():
        click.echo(f"{benchmark}: {bill.sentence()}")


def _opinions(bills: dict[str, OpinionBill]) -> list[dict[str, Any]]:
    from dataclasses import asdict

    return [
        {"benchmark": benchmark, "second_opinions": True, "most_later": bill.most_later}
        | asdict(bill.bill)
        for benchmark, bill in bills.items()
    ]


def _print_opinions(bills: dict[str, OpinionBill]) -> None:
    if bills:
        click.echo("\nSecond opinions of the judge, not included above:")
    for benchmark, bill in bills.items():
        click.echo(f"{benchmark}: {bill.sentence()}")


def _print_bill(model: str, given: dict[str, Any], as_json: bool) -> None:
    from gradpipe.cli.progress import print_table
    from gradpipe.estimates.format import assumptions, bill_lines
    from gradpipe.estimates.hypothetical import Setting, hypothetical_bill
    from gradpipe.estimates.model_shape import ModelShape, shape_of

    def read(model: str) -> ModelShape:
        from gradpipe.estimates.configurations import read_shape

        return read_shape(model)

    if "examples" not in given:
        raise GradpipeError("--model needs --examples: give the number of examples.")
    shape = shape_of(model, read)
    tokens = given.get("tokens", TOKENS)
    defaults = {"tokens": tokens, "response_tokens": min(RESPONSE_TOKENS, tokens)}
    bill = hypothetical_bill(shape, Setting(**{**defaults, **given}))
    assumed = assumptions(shape, bill)
    if as_json:
        click.echo(json.dumps({**bill.record(), "assumptions": assumed}))
        return
    print_table(("", ""), bill_lines(shape, bill))
    click.echo("\nAssumptions:")
    for sentence in assumed:
        click.echo(f"- {sentence}")

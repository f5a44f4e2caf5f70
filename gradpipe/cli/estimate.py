"""What work would cost: of a study, of a backfill, or on paper."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

from gradpipe.cli.options import current_workspace, study_option
from gradpipe.errors import GradpipeError

if TYPE_CHECKING:
    from gradpipe.generators.bill import GeneratorBill
    from gradpipe.studies.study import Study
    from storage.workspace import Workspace


@click.command("estimate")
@study_option
@click.option(
    "--calibration/--no-calibration",
    "calibration",
    default=None,
    help="Time a few batches here, or none (default: of models that have no rows yet).",
)
@click.option(
    "--model",
    metavar="SHAPE",
    help="On paper, without a study: a model such as 70b or llama-3.1-8b, a folder or hub id, or "
    "layers=80,hidden=8192,...",
)
@click.option("--examples", type=click.IntRange(min=1), help="On paper: how many examples.")
@click.option("--tokens", type=click.IntRange(min=2), help="Of each [600].")
@click.option("--response-tokens", type=click.IntRange(min=1), help="Of each response [400].")
@click.option("--gpus", type=click.IntRange(1, 100_000), help="How many GPUs [1].")
@click.option("--gpu", metavar="NAME", help="h100, h200, a100, l40s, rtx4090 or mi300x [h100].")
@click.option("--dtype", metavar="NAME", help="bfloat16, float16 or float32 [bfloat16].")
@click.option(
    "--utilisation",
    type=click.FloatRange(0, 1, min_open=True),
    help="The share of the GPU's peak that the passes reach [0.4].",
)
@click.option(
    "--spectra-utilisation",
    type=click.FloatRange(0, 1, min_open=True),
    help="The share of its float64 peak that the spectra reach [0.1].",
)
@click.option(
    "--gradient-checkpointing", "checkpointing", is_flag=True, default=None, help="On paper too."
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object instead of a table.")
def estimate_command(
    study: str | None, calibration: bool | None, model: str | None, as_json: bool, **paper: Any
) -> None:
    """Say what a study would cost: tokens, FLOPs, time, memory and disk; nothing is written.

    Without --model, for the rows that the study (by default the workspace's) still lacks. Time
    comes from rows of the same model that are in the store, else from a calibration of about a
    minute, which loads the model and runs a few batches of the work itself.

    With --model it is arithmetic alone, for machines that are not at hand: `gradpipe estimate
    --model 70b --examples 1000000 --gpus 64`. Every assumption is printed.
    """
    given = {name: value for name, value in paper.items() if value is not None}
    if model is not None:
        if study is not None or calibration is not None:
            raise GradpipeError(
                "--model is an estimate on paper, which has neither study nor calibration: leave "
                "those out."
            )
        _print_bill(model, given, as_json)
        return
    if given:
        raise GradpipeError(
            f"--{min(given).replace('_', '-')} belongs to an estimate on paper: give --model too."
        )
    from gradpipe.studies.load import load_study

    workspace = current_workspace()
    chosen = load_study(study) if study else workspace.study()
    _print_study(workspace, chosen, calibration, as_json)


def print_dry_run(
    workspace: Workspace,
    study: Study,
    models: tuple[str, ...] | None,
    benchmarks: tuple[str, ...] | None,
    as_json: bool,
) -> None:
    """What a backfill of some models and benchmarks would compute, as a table or as JSON."""
    from dataclasses import asdict

    from assets.planning.costs import ESTIMATE_COLUMNS, estimates, generation_bills, total
    from assets.planning.plan import Plan
    from assets.planning.versions import Versions
    from gradpipe.cli.progress import print_table

    plan = Plan(Versions(workspace, study), models, benchmarks)
    found, bills = list(estimates(plan)), generation_bills(plan)
    if as_json:
        cells = [asdict(estimate) for estimate in found]
        click.echo(json.dumps(cells + _generation(bills)))
    else:
        print_table(ESTIMATE_COLUMNS, (estimate.cells() for estimate in (*found, total(found))))
        _print_generation(bills)


def _print_study(
    workspace: Workspace, study: Study, calibration: bool | None, as_json: bool
) -> None:
    from dataclasses import asdict

    from assets.planning.costs import BILL_COLUMNS, estimates, generation_bills, total
    from assets.planning.plan import Plan
    from assets.planning.versions import Versions
    from gradpipe.cli.progress import print_table

    plan = Plan(Versions(workspace, study))
    found = list(estimates(plan, calibration is not False, ignore_measured=calibration is True))
    bills = generation_bills(plan)
    if as_json:
        cells = [asdict(cell) for cell in found]
        account = {"cells": cells, "total": asdict(total(found))}
        click.echo(json.dumps(account | ({"generation": _generation(bills)} if bills else {})))
    else:
        print_table(BILL_COLUMNS, (cell.bill() for cell in (*found, total(found))))
        _print_generation(bills)


def _generation(bills: dict[str, GeneratorBill]) -> list[dict[str, Any]]:
    from dataclasses import asdict

    return [{"benchmark": benchmark, **asdict(bill)} for benchmark, bill in bills.items()]


def _print_generation(bills: dict[str, GeneratorBill]) -> None:
    if bills:
        click.echo("\nStill to be written, and so in no line above:")
    for benchmark, bill in bills.items():
        click.echo(f"{benchmark}: {bill.sentence()}")


def _print_bill(model: str, given: dict[str, Any], as_json: bool) -> None:
    from gradpipe.cli.progress import print_table
    from gradpipe.estimates.format import assumptions, bill_lines
    from gradpipe.estimates.hypothetical import Setting, on_paper
    from gradpipe.estimates.model_shape import shape_of

    if "examples" not in given:
        raise GradpipeError("An estimate on paper needs --examples: say how many there are.")
    shape = shape_of(model)
    bill = on_paper(shape, Setting(**{"tokens": 600, "response_tokens": 400, **given}))
    assumed = assumptions(shape, bill)
    if as_json:
        click.echo(json.dumps({**bill.record(), "assumptions": assumed}))
        return
    print_table(("", ""), bill_lines(shape, bill))
    click.echo("\nAssumed:")
    for sentence in assumed:
        click.echo(f"- {sentence}")

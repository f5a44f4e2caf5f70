"""The command line: the only module of gradpipe that knows the layers above it."""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gradpipe.errors import GradpipeError

if TYPE_CHECKING:
    from gradpipe.studies.study import Study
    from storage.workspace import Workspace

EXIT_CODES = """\b
Exit codes: 0 done; 1 something failed on the way; 2 a command, file, study or
model that cannot be used as given; 130 stopped by Ctrl-C (what was done is kept).
"""


class Commands(click.Group):
    """Prints gradpipe's own errors as one sentence, without a traceback."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; GradpipeError becomes exit code 2."""
        try:
            return super().invoke(ctx)
        except GradpipeError as error:
            click.echo(f"gradpipe: {error}", err=True)
            ctx.exit(2)
        except KeyboardInterrupt:
            click.echo("gradpipe: stopped; what was done is kept, run it again to go on.", err=True)
            ctx.exit(130)


@click.group(
    cls=Commands, epilog=EXIT_CODES, context_settings={"help_option_names": ["-h", "--help"]}
)
@click.version_option(package_name="gradpipe")
def main() -> None:
    """Show, layer by layer, what training examples do to a language model.

    \b
    gradpipe run                     the demo study: a small model, a small benchmark, a report
    gradpipe run --study my.yaml     your own models and data
    gradpipe estimate                what a study would cost, before it is paid
    gradpipe extract DATA --model M  one file's gradients as one Parquet table
    gradpipe ui                      the same pipeline in the Dagster UI

    Everything is kept in the workspace, the folder that GRADPIPE_HOME names (by default .gradpipe
    in the current folder). What is there already is never computed again.
    """
    # Threads that spin while they wait for each other lose most of a busy machine's time: ten rows
    # took 82 to 126 s so, 33 s like this. It has to be said before torch is imported.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


@main.command()
@click.option(
    "--study", metavar="FILE|NAME", help="A study's YAML file, or one that ships: demo, paper."
)
@click.option(
    "--json", "as_json", is_flag=True, help="End stdout with one JSON object of what was done."
)
def run(study: str | None, as_json: bool) -> None:
    """Bring every stage of a study up to date and say where the report is.

    Without --study the workspace's own study is used, at first the demo. A run that was stopped
    goes on where it stopped; a run with nothing to do loads no model.
    """
    from gradpipe.studies.study import load_study

    workspace = _workspace()
    chosen = load_study(study) if study else workspace.study()
    _bring_up_to_date(workspace, chosen, as_json=as_json)


@main.command()
@click.option(
    "--model", "models", multiple=True, metavar="NAME", help="Only this model (repeatable)."
)
@click.option(
    "--benchmark", "benchmarks", multiple=True, metavar="NAME", help="Only this benchmark."
)
@click.option("--dry-run", is_flag=True, help="Say what would be computed, and compute nothing.")
@click.option(
    "--json", "as_json", is_flag=True, help="End stdout with one JSON object of what was done."
)
def backfill(
    models: tuple[str, ...], benchmarks: tuple[str, ...], dry_run: bool, as_json: bool
) -> None:
    """Compute what is missing of some models and benchmarks, then the report.

    A partition that fails does not stop the others: the summary names it, and the exit code is 1.
    With --dry-run: rows and tokens of every partition, and the time and disk they would take as far
    as rows of that model were measured before.
    """
    workspace = _workspace()
    study = workspace.study()
    for model in models:
        study.model(model)
    for benchmark in benchmarks:
        study.benchmark(benchmark)
    if dry_run:
        _print_estimates(workspace, study, models or None, benchmarks or None, as_json)
        return
    _bring_up_to_date(
        workspace, study, models=models or None, benchmarks=benchmarks or None, as_json=as_json
    )


@main.command()
@click.option(
    "--study", metavar="FILE|NAME", help="A study's YAML file, or one that ships: demo, paper."
)
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
def estimate(
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
    from gradpipe.studies.study import load_study

    workspace = _workspace()
    chosen = load_study(study) if study else workspace.study()
    _print_estimate(workspace, chosen, calibration, as_json)


@main.command()
@click.argument("data", metavar="DATA")
@click.option("--model", required=True, help="A hub id, a local folder, a .gguf file, or demo.")
@click.option(
    "--out", required=True, type=click.Path(path_type=Path), help="The Parquet file to write."
)
@click.option("--protocol", default="standard", show_default=True, metavar="paper|standard")
@click.option(
    "--chat/--no-chat",
    default=None,
    help="Use the chat template or not (default: if there is one).",
)
@click.option(
    "--projections",
    metavar="LIST",
    help="Any of q,k,v,o,gate,up,down, with commas (default: q,k,v,o).",
)
@click.option(
    "--layer-name",
    "layer_names",
    multiple=True,
    metavar="ROLE=PATH",
    help="Where a projection is in each decoder layer, as q=attn.wq (repeatable).",
)
@click.option("--offset", default=0, type=click.IntRange(min=0), help="Rows of DATA to skip.")
@click.option("--limit", default=None, type=click.IntRange(min=1), help="Rows of DATA to take.")
@click.option(
    "--device-map",
    metavar="auto|DEVICE",
    help="Spread the model over all GPUs, then CPU and disk; or name one device, as cuda:1.",
)
@click.option(
    "--gradient-checkpointing",
    "checkpointing",
    is_flag=True,
    help="Less memory for a third more time: compute each layer twice.",
)
@click.option(
    "--max-memory",
    multiple=True,
    metavar="DEVICE=SIZE",
    help="What --device-map auto may use, as 0=20GiB or cpu=60GiB (repeatable).",
)
def extract(
    data: str,
    model: str,
    out: Path,
    protocol: str,
    chat: bool | None,
    projections: str | None,
    layer_names: tuple[str, ...],
    offset: int,
    limit: int | None,
    device_map: str | None,
    checkpointing: bool,
    max_memory: tuple[str, ...],
) -> None:
    """Take the gradient spectra of every row of DATA, without a workspace.

    DATA is JSON, JSONL, CSV or Parquet with the columns instruction, optional input, and output.
    The table has one row per (example, layer, projection), with the statistics and the singular
    values; `example` is the row's number in DATA.
    """
    from gradpipe.gradients.file import extract_file
    from gradpipe.gradients.protocol import make_protocol
    from gradpipe.models.placement import Placement
    from gradpipe.progress import ProgressView

    memory: Any = {place: size for place, _, size in (part.partition("=") for part in max_memory)}
    placement = Placement(device_map, checkpointing, memory or None)
    changes: dict[str, Any] = {"layer_names": _layer_names(layer_names)}
    if chat is not None:
        changes["chat"] = chat
    if projections is not None:
        changes["projections"] = [name.strip() for name in projections.split(",")]
    chosen = make_protocol(protocol, **changes)
    with ProgressView() as view:
        unusable, usable = extract_file(
            data,
            model,
            out,
            chosen,
            offset,
            limit,
            lambda progress: view.extraction(data, progress),
            placement,
        )
    for row, reason in unusable:
        click.echo(f"row {row} cannot be used: {reason}", err=True)
    click.echo(f"{usable} examples in {out}" + (f", {len(unusable)} unusable" if unusable else ""))
    if not usable:
        raise click.exceptions.Exit(1)


@main.command()
def status() -> None:
    """Say what of the workspace's study is there, out of date or missing."""
    from assets.status import stage_states
    from gradpipe.progress import print_table

    workspace = _workspace()
    states = stage_states(workspace, workspace.study())
    print_table(("stage", "partition", "state", "rows"), states)


@main.command()
@click.option("--open", "open_page", is_flag=True, help="Show the page in the browser.")
def report(open_page: bool) -> None:
    """Say where the report is."""
    page = _workspace().report_page
    if not page.is_file():
        raise GradpipeError(f"There is no report at {page} yet: make it with `gradpipe run`.")
    click.echo(str(page))
    if open_page and not isinstance(page, Path):
        raise GradpipeError(
            "A browser cannot open that: fetch the page's folder and open it there."
        )
    if open_page:
        click.launch(page.as_uri())


@main.command()
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--port", default=3000, show_default=True, type=click.IntRange(1, 65535))
def ui(host: str, port: int) -> None:
    """Open the Dagster UI on this workspace."""
    from assets.ui import serve

    click.echo(f"Opening the Dagster UI at http://{host}:{port} (Ctrl-C ends it)", err=True)
    serve(_workspace(), host, port)


@main.group()
def models() -> None:
    """The models of the workspace's study: add, list, remove."""


@models.command("add")
@click.argument("model", metavar="ID")
@click.option("--revision", help="A branch, tag or commit of a hub model.")
@click.option("--name", default="", help="What tables and charts call it.")
def models_add(model: str, revision: str | None, name: str) -> None:
    """Add a model: a hub id, a local folder, a .gguf file, or demo."""
    from storage.models import add_model

    workspace = _workspace()
    added = add_model(workspace, model, revision, name)
    _sync_partitions(workspace)
    automatic = workspace.study().automation is True
    click.echo(
        f"Added {added}; "
        + ("the daemon" if automatic else "`gradpipe run`")
        + " computes what it lacks."
    )


@models.command("list")
def models_list() -> None:
    """List the study's models."""
    for model in _workspace().study().models:
        click.echo(model.name if model.name == model.id else f"{model.name}  ({model.id})")


@models.command("remove")
@click.argument("name", metavar="NAME")
@click.option("--rows", is_flag=True, help="Delete its rows too; they would have to be paid again.")
def models_remove(name: str, rows: bool) -> None:
    """Take a model out of the study and, from its next making on, out of the report.

    Its rows stay in the store, so that it can come back at no cost, unless --rows is given.
    """
    from storage.models import remove_model

    workspace = _workspace()
    remove_model(workspace, name)
    _sync_partitions(workspace)
    if rows:
        workspace.delete_model(name)
    click.echo(f"Removed {name}; its rows " + ("are deleted." if rows else "stay in the store."))


def _layer_names(given: tuple[str, ...]) -> dict[str, str]:
    """The layer in each role, of words like q=attn.wq."""
    names = {}
    for word in given:
        role, equals, path = word.partition("=")
        if not equals:
            raise GradpipeError(f"--layer-name cannot be {word!r}: write it as q=attn.wq.")
        names[role.strip()] = path.strip()
    return names


def _workspace() -> Workspace:
    from storage.workspace import Workspace

    return Workspace.current()


def _sync_partitions(workspace: Workspace) -> None:
    from assets.instance import open_instance
    from assets.partitions import sync_partitions

    with open_instance(workspace) as instance:
        sync_partitions(instance, workspace.study())


def _print_estimates(
    workspace: Workspace,
    study: Study,
    models: tuple[str, ...] | None,
    benchmarks: tuple[str, ...] | None,
    as_json: bool,
) -> None:
    from dataclasses import asdict

    from assets.estimate import ESTIMATE_COLUMNS, estimates, total
    from assets.plan import Plan
    from assets.versions import Versions
    from gradpipe.progress import print_table

    found = list(estimates(Plan(Versions(workspace, study), models, benchmarks)))
    if as_json:
        click.echo(json.dumps([asdict(estimate) for estimate in found]))
    else:
        print_table(ESTIMATE_COLUMNS, (estimate.cells() for estimate in (*found, total(found))))


def _print_estimate(
    workspace: Workspace, study: Study, calibration: bool | None, as_json: bool
) -> None:
    from dataclasses import asdict

    from assets.estimate import BILL_COLUMNS, estimates, total
    from assets.plan import Plan
    from assets.versions import Versions
    from gradpipe.progress import print_table

    plan = Plan(Versions(workspace, study))
    found = list(estimates(plan, calibration is not False, anew=calibration is True))
    if as_json:
        cells = [asdict(cell) for cell in found]
        click.echo(json.dumps({"cells": cells, "total": asdict(total(found))}))
    else:
        print_table(BILL_COLUMNS, (cell.bill() for cell in (*found, total(found))))


def _print_bill(model: str, given: dict[str, Any], as_json: bool) -> None:
    from gradpipe.estimates.paper import Setting, on_paper
    from gradpipe.estimates.shape import shape_of
    from gradpipe.estimates.words import assumptions, bill_lines
    from gradpipe.progress import print_table

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


def _bring_up_to_date(
    workspace: Workspace,
    study: Study,
    models: tuple[str, ...] | None = None,
    benchmarks: tuple[str, ...] | None = None,
    as_json: bool = False,
) -> None:
    from assets.accelerator import Accelerator
    from assets.run import Runner
    from gradpipe.progress import ProgressView

    started = time.perf_counter()
    with ProgressView() as view:
        accelerator = Accelerator(
            lambda model, benchmark, progress: view.extraction(f"{model} × {benchmark}", progress)
        )
        runner = Runner(workspace, study, accelerator, view.stage, view.note)
        runner.bring_up_to_date(models, benchmarks)
    for line in runner.summary(time.perf_counter() - started):
        view.console.print(line, markup=False)
    if as_json:
        click.echo(json.dumps(runner.account(time.perf_counter() - started)))
    elif workspace.report_page.is_file():
        click.echo(f"Report: {workspace.report_page}")
    if runner.failures:
        raise click.exceptions.Exit(1)


if __name__ == "__main__":
    sys.exit(main())

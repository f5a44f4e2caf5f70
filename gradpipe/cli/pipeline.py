"""Commands on the workspace's pipeline: run, backfill, status, report and ui."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

import click

from gradpipe.cli.estimate import print_dry_run
from gradpipe.cli.options import account_option, current_workspace, study_option
from gradpipe.cli.workspace_choice import workspace_for
from gradpipe.errors import GradpipeError

if TYPE_CHECKING:
    from gradpipe.studies.study import Study
    from storage.workspace import Workspace


@click.command()
@study_option
@click.option(
    "--replace",
    is_flag=True,
    help="Run the study in this workspace even if it holds a study of another name.",
)
@account_option
def run(study: str | None, replace: bool, as_json: bool) -> None:
    """Bring a study up to date and print where its report is.

    Without --study, runs the workspace's own study, at first the demo. If the workspace holds a
    study of another name, asks whether to replace it; otherwise, and where nobody can answer, the
    study gets a workspace of its own, in a folder of this one. A stopped run resumes where it left
    off. A run with nothing to do loads no model. Missing models and data files are all named before
    anything is computed.
    """
    from gradpipe.studies.inputs import require_inputs
    from gradpipe.studies.load import load_study

    workspace = current_workspace()
    if study:
        written = load_study(study)
        require_inputs(written)
        workspace = workspace_for(workspace, written, replace=replace)
        chosen = workspace.expand(written)
    else:
        chosen = workspace.study()
        require_inputs(chosen)
    _report_on(workspace, bring_up_to_date(workspace, chosen), as_json)


@click.command()
@click.option(
    "--model",
    "models",
    multiple=True,
    metavar="NAME",
    help="Only this model, or the steps of this series (repeatable).",
)
@click.option(
    "--benchmark",
    "benchmarks",
    multiple=True,
    metavar="NAME",
    help="Only this benchmark (repeatable).",
)
@click.option(
    "--retry-unusable",
    "retry",
    is_flag=True,
    help="Recompute unusable rows, for example rows that ran out of memory.",
)
@click.option("--dry-run", is_flag=True, help="Print what would be computed, and compute nothing.")
@account_option
def backfill(
    models: tuple[str, ...],
    benchmarks: tuple[str, ...],
    retry: bool,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Compute the missing results of some models and benchmarks.

    Then updates the report. A partition that fails does not stop the others: the summary names it,
    and the exit code is 1. With --dry-run, prints the missing rows and tokens of every partition,
    and their time and disk space if rows of the same model have been computed before.
    """
    from gradpipe.studies.series import models_named

    workspace = current_workspace()
    study = workspace.study()
    models = tuple(name for given in models for name in models_named(study, given))
    for benchmark in benchmarks:
        study.benchmark(benchmark)
    if retry and dry_run:
        raise GradpipeError("--retry-unusable and --dry-run exclude each other: give one of them.")
    if dry_run:
        print_dry_run(workspace, study, models or None, benchmarks or None, as_json)
        return
    if retry:
        for model, benchmark in study.grid():
            if model in (models or [model]) and benchmark in (benchmarks or [benchmark]):
                workspace.discard_unusable(model, benchmark)
    account = bring_up_to_date(workspace, study, models or None, benchmarks or None)
    _report_on(workspace, account, as_json)


@click.command()
def status() -> None:
    """List which results of the study are current, out of date or missing."""
    from assets.planning.status import missing_replies, stage_states
    from gradpipe.cli.progress import print_table

    workspace = current_workspace()
    study = workspace.study()
    states = stage_states(workspace, study)
    print_table(("stage", "partition", "state", "rows"), states)
    for benchmark, count in missing_replies(workspace, study).items():
        click.echo(
            f"{benchmark}: {count} second opinions of the judge are missing; `gradpipe run` asks "
            "for them."
        )


@click.command("report")
@click.option("--open", "open_page", is_flag=True, help="Open the page in the browser.")
def report_command(open_page: bool) -> None:
    """Print where the report is."""
    workspace = current_workspace()
    page = workspace.report_page
    if not page.is_file():
        raise GradpipeError(f"There is no report at {page} yet: create it with `gradpipe run`.")
    click.echo(str(page))
    if open_page:
        local = workspace.files.local_path(page)
        if local is None:
            raise GradpipeError(
                f"A browser cannot open {page}: copy {workspace.report_folder} to this machine and "
                "open the page there."
            )
        click.launch(local.as_uri())


@click.command()
@click.option(
    "--host",
    default="127.0.0.1",
    show_default=True,
    help="Address to listen on. Any but this machine's own lets other machines connect.",
)
@click.option(
    "--port",
    default=3000,
    show_default=True,
    type=click.IntRange(1, 65535),
    help="Port to listen on.",
)
def ui(host: str, port: int) -> None:
    """Open the Dagster UI on this workspace.

    The UI has no users and no passwords.
    """
    from assets.running.ui import is_loopback, serve

    if not is_loopback(host):
        click.echo(
            f"warning: anyone who can reach {host}:{port} can read the workspace and start runs. "
            "Leave out --host to admit this machine only, and use ssh -L from other machines.",
            err=True,
        )
    click.echo(f"Opening the Dagster UI at http://{host}:{port} (press Ctrl-C to stop)", err=True)
    serve(current_workspace(), host, port)


def bring_up_to_date(
    workspace: Workspace,
    study: Study,
    models: tuple[str, ...] | None = None,
    benchmarks: tuple[str, ...] | None = None,
) -> dict[str, Any]:
    """Bring some models and benchmarks of the study up to date; None: all of them.

    Progress and a summary go to stderr. Returns the runner's account; it has ``failed`` if
    something failed.
    """
    from assets.resources import Accelerator
    from assets.running.runner import Runner
    from gradpipe.cli.progress import ProgressView

    started = time.perf_counter()
    with ProgressView() as view:
        accelerator = Accelerator(
            lambda model, benchmark, progress: view.extraction(f"{model} × {benchmark}", progress)
        )
        runner = Runner(workspace, study, accelerator, view.stage, view.note)
        runner.bring_up_to_date(models, benchmarks)
    seconds = time.perf_counter() - started
    for line in runner.summary(seconds):
        view.console.print(line, markup=False)
    return runner.account(seconds)


def _report_on(workspace: Workspace, account: dict[str, Any], as_json: bool) -> None:
    """Print where the report is, or the whole account as JSON; exit with 1 if something failed."""
    if as_json:
        click.echo(json.dumps(account))
    elif workspace.report_page.is_file():
        click.echo(f"Report: {workspace.report_page}")
    if account.get("failed"):
        raise click.exceptions.Exit(1)

"""Commands on the workspace's pipeline: run, backfill, report and ui."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

from gradpipe.cli.display import is_watched, open_report
from gradpipe.cli.estimate import print_dry_run
from gradpipe.cli.name_completion import complete_benchmarks, complete_models
from gradpipe.cli.options import (
    account_option,
    current_workspace,
    seconds_since_start,
    study_option,
    workspace_option,
)
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
@click.option(
    "--open/--no-open",
    "open_page",
    help="Then open the report in the browser, if a person is there (default: no).",
)
@account_option
@workspace_option
def run(study: str | None, replace: bool, open_page: bool, as_json: bool) -> None:
    """Bring a study up to date and print where its report is.

    Without --study, runs the workspace's own study, at first the demo. If the workspace holds a
    study of another name, asks whether to replace it; otherwise, and where nobody can answer, the
    study gets a workspace of its own, in a folder of this one. A stopped run resumes where it left
    off. A run with nothing to do loads no model. Missing models and data files are all named before
    anything is computed.

    The summary says what each stage computed and how long it took. With --open, the report is
    opened if stdout is a terminal and there is a display; never in CI, where the variable CI is
    set.
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
    account = bring_up_to_date(workspace, chosen)
    _report_on(workspace, account, as_json, open_page=open_page)


@click.command()
@click.option(
    "--model",
    "models",
    multiple=True,
    metavar="NAME",
    shell_complete=complete_models,
    help="Only this model, or the steps of this series (repeatable).",
)
@click.option(
    "--benchmark",
    "benchmarks",
    multiple=True,
    metavar="NAME",
    shell_complete=complete_benchmarks,
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
@workspace_option
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
        _discard_unusable(workspace, study, models, benchmarks)
    account = bring_up_to_date(workspace, study, models or None, benchmarks or None)
    _report_on(workspace, account, as_json)


@click.command("report")
@click.option("--open", "open_page", is_flag=True, help="Open the page in the browser.")
@workspace_option
def report_command(open_page: bool) -> None:
    """Print where the report is.

    Without a display, --open says which file to open.
    """
    workspace = current_workspace()
    page = workspace.report_page
    if not page.is_file():
        raise GradpipeError(f"There is no report at {page} yet: create it with `gradpipe run`.")
    click.echo(str(page))
    if open_page:
        open_report(workspace)


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
    type=click.IntRange(0, 65535),
    help="Port to listen on; 0 chooses a free one.",
)
@workspace_option
def ui(host: str, port: int) -> None:
    """Serve the Dagster UI on this workspace, and print its address.

    The UI has no users and no passwords.
    """
    from assets.running.ports import is_loopback, port_to_listen_on
    from assets.running.report_server import http_address
    from assets.running.ui import serve

    workspace = current_workspace()
    port = port_to_listen_on(host, port)
    if not is_loopback(host):
        click.echo(
            f"warning: anyone who can reach {host}:{port} can read the workspace and start runs. "
            "Leave out --host to admit this machine only, and use ssh -L from other machines.",
            err=True,
        )
    address = http_address(host, port)
    click.echo(
        f"The Dagster UI starts at {address}: open this address in a browser. Press Ctrl-C to "
        "stop.",
        err=True,
    )
    serve(workspace, host, port)


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
    from assets.running.run_times import RunTimes
    from assets.running.runner import Runner
    from gradpipe.cli.progress import ProgressView

    times = RunTimes(seconds_since_start())
    with ProgressView() as view:
        accelerator = Accelerator(
            lambda model, benchmark, progress: view.extraction(f"{model} × {benchmark}", progress)
        )
        runner = Runner(
            workspace, study, accelerator, on_stage=view.stage, on_note=view.note, times=times
        )
        runner.bring_up_to_date(models, benchmarks)
    for line in runner.summary():
        view.console.print(line, markup=False)
    return runner.account()


def _discard_unusable(
    workspace: Workspace, study: Study, models: tuple[str, ...], benchmarks: tuple[str, ...]
) -> None:
    """Delete the unusable rows of the chosen partitions, and say which are kept and why."""
    from assets.planning.versions import Versions
    from assets.unusable_rows import discard_unusable_rows

    versions = Versions(workspace, study)
    for model, benchmark in sorted(study.grid()):
        if model not in (models or [model]) or benchmark not in (benchmarks or [benchmark]):
            continue
        try:
            sentence = discard_unusable_rows(versions, model, benchmark)
        except GradpipeError as error:
            sentence = f"The unusable rows of {model} on {benchmark} are kept: {error}"
        if sentence:
            click.echo(sentence, err=True)


def _report_on(
    workspace: Workspace, account: dict[str, Any], as_json: bool, *, open_page: bool = False
) -> None:
    """Print where the report is, or the whole account as JSON; exit with 1 if something failed.

    With ``open_page``, the report is opened if a person is there to see it.
    """
    if as_json:
        click.echo(json.dumps(account))
    elif workspace.report_page.is_file():
        click.echo(f"Report: {workspace.report_page}")
    if open_page and is_watched() and workspace.report_page.is_file():
        open_report(workspace)
    if account.get("failed"):
        raise click.exceptions.Exit(1)

"""The command line: the only part of gradpipe that knows the layers above it."""

from __future__ import annotations

import sys
from io import TextIOWrapper
from typing import Any

import click

from gradpipe.cli.compare import compare_command
from gradpipe.cli.completion import completion_command
from gradpipe.cli.correlate import correlate_command
from gradpipe.cli.doctor import doctor
from gradpipe.cli.estimate import estimate_command
from gradpipe.cli.extract import extract
from gradpipe.cli.extras import missing_extra
from gradpipe.cli.look import look
from gradpipe.cli.merge import merge
from gradpipe.cli.models import models
from gradpipe.cli.options import start_clock
from gradpipe.cli.pipeline import backfill, report_command, run, ui
from gradpipe.cli.rank import rank_command
from gradpipe.cli.responses import responses_group
from gradpipe.cli.status import status
from gradpipe.errors import GradpipeError
from gradpipe.system.cpu_settings import set_up_cpu
from gradpipe.system.pipeline_path import add_pipeline_to_path

EXIT_CODES = """\b
Exit codes: 0 success; 1 something failed during the command; 2 invalid command,
file, study or model; 130 stopped by Ctrl-C (run, backfill, extract and rank
keep finished work).
"""
#: The commands that keep finished work in the workspace; `extract` and `rank` say so themselves.
KEEPING = ("run", "backfill")


class Commands(click.Group):
    """A group that prints gradpipe's errors and missing extras as a sentence, not a traceback."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; GradpipeError becomes exit code 2."""
        try:
            return super().invoke(ctx)
        except GradpipeError as error:
            click.echo(f"gradpipe: {error}", err=True)
            ctx.exit(2)
        except ModuleNotFoundError as error:
            advice = missing_extra(error, f"gradpipe {ctx.invoked_subcommand}")
            if advice is None:
                raise
            click.echo(advice, err=True)
            ctx.exit(2)
        except KeyboardInterrupt:
            kept = ctx.invoked_subcommand in KEEPING
            more = "; finished work is kept. Run the command again to resume." if kept else "."
            click.echo(f"gradpipe: stopped{more}", err=True)
            ctx.exit(130)


@click.group(
    cls=Commands, epilog=EXIT_CODES, context_settings={"help_option_names": ["-h", "--help"]}
)
@click.version_option(package_name="gradpipe")
def main() -> None:
    """Show, layer by layer, how training examples would change a language model.

    \b
    gradpipe run                     run the demo study: small model, small data
    gradpipe run --study my.yaml     run a study of your own models and data
    gradpipe estimate                estimate the cost of a study before running it
    gradpipe look DATA --model M     show what a file holds for a model
    gradpipe extract DATA --model M  write the gradient spectra of a file's rows
    gradpipe merge PART... --out F   join the tables of parts of a file
    gradpipe rank DATA --model M     score and sort the rows of a file
    gradpipe correlate DATA ...      relate a column of a file to its gradients
    gradpipe compare A B             compare two models, data sets or studies
    gradpipe responses export ...    write a model's responses as a data set
    gradpipe ui                      open the pipeline in the Dagster UI
    gradpipe doctor                  check this machine and the workspace
    gradpipe completion bash         complete commands, options and names in a shell

    Results are kept in the workspace: the folder or URL that --workspace or GRADPIPE_HOME names, by
    default .gradpipe in the current folder. Results that are up to date are not recomputed.
    """
    start_clock()
    add_pipeline_to_path()
    set_up_cpu()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            # Never fail because the terminal cannot display a character.
            stream.reconfigure(errors="backslashreplace")


COMMANDS = (
    run,
    backfill,
    estimate_command,
    look,
    extract,
    merge,
    rank_command,
    correlate_command,
    compare_command,
    status,
    report_command,
    ui,
    models,
    responses_group,
    doctor,
    completion_command,
)
for command in COMMANDS:
    main.add_command(command)

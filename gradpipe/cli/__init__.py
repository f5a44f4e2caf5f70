"""The command line: the only part of gradpipe that knows the layers above it."""

from __future__ import annotations

import sys
from io import TextIOWrapper
from typing import Any

import click

from gradpipe.cli.compare import compare_command
from gradpipe.cli.doctor import doctor
from gradpipe.cli.estimate import estimate_command
from gradpipe.cli.extract import extract
from gradpipe.cli.extras import missing_extra
from gradpipe.cli.models import models
from gradpipe.cli.pipeline import backfill, report_command, run, status, ui
from gradpipe.cli.rank import rank_command
from gradpipe.errors import GradpipeError
from gradpipe.system.cpu_settings import set_up_cpu
from gradpipe.system.pipeline_path import add_pipeline_to_path

EXIT_CODES = """\b
Exit codes: 0 done; 1 something failed on the way; 2 a command, file, study or
model that cannot be used as given; 130 stopped by Ctrl-C (what was done is kept).
"""


class Commands(click.Group):
    """Prints gradpipe's own errors, and missing extras, as one sentence without a traceback."""

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
            click.echo(
                "gradpipe: stopped; what was done is kept. Run it again to resume.", err=True
            )
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
    gradpipe rank DATA --model M     one file's rows, scored and ordered
    gradpipe compare A B             two models, data sets or studies, with intervals
    gradpipe ui                      the same pipeline in the Dagster UI
    gradpipe doctor                  what is wrong here, and what to do about it

    Everything is kept in the workspace, the folder that GRADPIPE_HOME names (by default .gradpipe
    in the current folder). What is there already is not recomputed.
    """
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
    extract,
    rank_command,
    compare_command,
    status,
    report_command,
    ui,
    models,
    doctor,
)
for command in COMMANDS:
    main.add_command(command)

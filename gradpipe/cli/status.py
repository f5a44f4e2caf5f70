"""``gradpipe status``: which results of the study are current, out of date or missing."""

from __future__ import annotations

import json

import click

from gradpipe.cli.options import current_workspace, workspace_option


@click.command()
@click.option(
    "--json",
    "as_json",
    is_flag=True,
    help="Print one JSON object instead of a table, with counts of rows and times.",
)
@workspace_option
def status(as_json: bool) -> None:
    """List which results of the study are current, out of date or missing.

    The exit code is 0 whatever the state; in the JSON object, `current` says whether everything is
    up to date.
    """
    from assets.planning.status import missing_replies, stage_states
    from gradpipe.cli.progress import print_table

    workspace = current_workspace()
    study = workspace.study()
    if as_json:
        from assets.planning.status_record import status_record

        click.echo(json.dumps(status_record(workspace, study)))
        return
    states = (
        (found.stage.name, found.partition.label, found.state, found.rows)
        for found in stage_states(workspace, study)
    )
    print_table(("stage", "partition", "state", "rows"), states)
    for benchmark, count in missing_replies(workspace, study).items():
        click.echo(
            f"{benchmark}: {count} second opinions of the judge are missing; `gradpipe run` asks "
            "for them."
        )

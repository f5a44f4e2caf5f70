"""``gradpipe estimate --power``: how many items decide each claim, from the study's results."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    import polars as pl

    from gradpipe.studies.study import Study
    from storage.workspace import Workspace

_COLUMNS = ("claim", "verdict", "items", "ratio", "items needed", "for", "detectable ratio")


def print_power(workspace: Workspace, study: Study, power: float, as_json: bool) -> None:
    """Print the items that each claim needs, as a table or as one JSON object.

    Raises WorkspaceError if the workspace has no statistics of the study.
    """
    from assets.report import finished_cells
    from gradpipe.claims.contrasts import claims_table
    from gradpipe.claims.inference.power import items_needed
    from gradpipe.cli.progress import print_table
    from gradpipe.report.judged_cells import judge_cells

    cells = finished_cells(workspace, study)
    judged = judge_cells(
        cells,
        study.all_claims(),
        study.model_pairs(),
        study.seed,
        study.correction,
        also_verified=False,
    )
    table = claims_table(judged.claims)
    plans = items_needed(judged.verdicts, table, power=power)
    if as_json:
        click.echo(json.dumps({"power": power, "claims": plans.to_dicts()}))
        return
    print_table(_COLUMNS, (_cells(plan) for plan in plans.to_dicts()))
    click.echo(
        f"\nItems per benchmark that decide a claim with a probability of {power:.0%}, if its "
        "ratio is as measured."
    )
    for claim, statement in _statements(plans, table):
        click.echo(f"{claim}: {statement}")


def _cells(plan: dict[str, Any]) -> tuple[str, ...]:
    needed = "" if plan["items_needed"] is None else f"{plan['items_needed']:,}"
    return (
        plan["claim"],
        plan["verdict"],
        f"{plan['items'] or 0:,}",
        "" if plan["effect"] is None else f"{plan['effect']:.3g}",
        needed,
        plan["would_be"] or plan["reason"],
        "" if plan["detectable"] is None else f"{plan['detectable']:.3g}",
    )


def _statements(plans: pl.DataFrame, claims: pl.DataFrame) -> list[tuple[str, str]]:
    return claims.join(plans, on="claim", how="semi").select("claim", "statement").rows()

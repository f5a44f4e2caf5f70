"""Where the gradients of ``rank`` and ``correlate`` come from: a model, or a finished table."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gradpipe.cli.extraction import how_to_extract
from gradpipe.cli.name_completion import complete_model_ids
from gradpipe.cli.options import MODEL_HELP
from gradpipe.cli.token_options import Command, with_options
from gradpipe.errors import GradpipeError

if TYPE_CHECKING:
    from gradpipe.gradients.rows import Progress
    from gradpipe.standalone.example_runner import ExampleRunner

SPECTRA_OPTIONS = (
    click.option("--model", shell_complete=complete_model_ids, help=MODEL_HELP),
    click.option(
        "--spectra",
        type=click.Path(path_type=Path),
        metavar="FILE|FOLDER",
        help="The table that `gradpipe extract` wrote for DATA, instead of --model.",
    ),
)


def spectra_options(command: Command) -> Command:
    """Add SPECTRA_OPTIONS to a command; ``spectra_source`` reads them."""
    return with_options(command, SPECTRA_OPTIONS)


def spectra_source(
    model: str | None,
    spectra: Path | None,
    how: dict[str, Any],
    report: Callable[[Progress], None],
    *more: str,
) -> Path | ExampleRunner:
    """The source of the spectra: the path of a table, or a model that computes them.

    ``how`` are the options of the model, ``more`` the names of others that a table makes useless.
    """
    if spectra is not None:
        given = [*(["--model"] if model else []), *_given([*how, *more])]
        if given:
            raise GradpipeError(
                f"{given[0]} has no effect on the gradients in --spectra: leave out {given[0]}, or "
                "leave out --spectra to compute them."
            )
        return spectra
    if model is None:
        raise GradpipeError(
            "There are no gradients yet: give --model, or --spectra with the table that `gradpipe "
            "extract` wrote for DATA."
        )
    from gradpipe.standalone.example_runner import ExampleRunner

    model_settings = {name: how.pop(name) for name in ("tokenizer", "adapter", "base")}
    protocol, placement = how_to_extract(**how)
    return ExampleRunner(model, protocol, placement, report, **model_settings)


def _given(names: Iterable[str]) -> list[str]:
    """The options among ``names`` that the user typed."""
    context = click.get_current_context()
    typed = click.core.ParameterSource.COMMANDLINE
    return [
        option.opts[0]
        for option in context.command.params
        if option.name in names and context.get_parameter_source(option.name) is typed
    ]

"""Where ``extract`` and ``rank`` compute: in this process, or on a Ray cluster."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

from gradpipe.cli.token_options import Command, with_options
from gradpipe.errors import GradpipeError

if TYPE_CHECKING:
    from gradpipe.engines.settings import RayConfig
    from gradpipe.standalone.chunk_gradients import Gradients
    from gradpipe.standalone.example_runner import ExampleRunner

_RESOURCES = "resources."

ENGINE_OPTIONS = (
    click.option(
        "--engine",
        type=click.Choice(["local", "ray"]),
        default="local",
        show_default=True,
        help="Compute in this process, or on a Ray cluster, as a study with `engine: ray` does.",
    ),
    click.option(
        "--ray",
        multiple=True,
        metavar="KEY=VALUE",
        help=(
            "Settings of the cluster, those of a study: address, actors, cpus, gpus and "
            "resources.NAME, for example actors=8 (repeatable)."
        ),
    ),
)


def engine_options(command: Command) -> Command:
    """Add ENGINE_OPTIONS to a command; ``gradients_of`` reads them."""
    return with_options(command, ENGINE_OPTIONS)


@contextmanager
def gradients_of(
    engine: str, ray: tuple[str, ...], runner: ExampleRunner, *, alone: bool = False
) -> Iterator[Gradients]:
    """What computes the rows; raises GradpipeError for settings that are invalid.

    ``alone``: the losses of responses without their prompts are computed too.
    """
    from gradpipe.standalone.chunk_gradients import EngineGradients, LocalGradients

    if engine == "local":
        if ray:
            raise GradpipeError(
                "--ray has no effect without --engine ray: add it, or leave out --ray."
            )
        yield LocalGradients(runner, alone=alone)
        return
    if alone:
        raise GradpipeError("--with ifd is not computed on a Ray cluster: use --engine local.")
    from gradpipe.engines.cluster import RayEngine
    from gradpipe.engines.connection import require_ray

    require_ray()
    cluster = RayEngine(_settings(ray))
    try:
        yield EngineGradients(runner, cluster)
    finally:
        cluster.close()


def _settings(given: tuple[str, ...]) -> RayConfig:
    from pydantic import ValidationError

    from gradpipe.engines.settings import RayConfig

    settings: dict[str, Any] = {}
    for word in given:
        key, equals, value = word.partition("=")
        if not equals:
            raise GradpipeError(f"--ray {word!r} is invalid: write KEY=VALUE, such as actors=8.")
        if key.startswith(_RESOURCES):
            settings.setdefault("resources", {})[key.removeprefix(_RESOURCES)] = _value(value)
        else:
            settings[key] = value if key == "address" else _value(value)
    try:
        return RayConfig(**settings)
    except ValidationError as error:
        fault = error.errors()[0]
        place = ".".join(map(str, fault["loc"]))
        raise GradpipeError(
            f"--ray {place} is invalid ({fault['msg']}): give one of address, actors, cpus, gpus "
            "and resources.NAME."
        ) from error


def _value(text: str) -> float | int | str:
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text

"""The bench's command line: ``python -m bench PART``."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

if __name__ == "__main__" and sys.argv[1:2] == ["gpu"]:
    # A machine with a GPU may have none of the packages below.
    from bench.gpu import measure_gpu

    sys.exit(measure_gpu(sys.argv[2:]))

import click

from bench.settings import Settings
from gradpipe.cli import Commands
from gradpipe.system.cpu_settings import set_up_cpu

RESULTS = Path(__file__).resolve().parent / "results"
Command = TypeVar("Command", bound=Callable[..., Any])


def _names(_context: click.Context, _parameter: click.Parameter, value: str) -> tuple[str, ...]:
    names = (name.strip() for name in value.split(","))
    return tuple(dict.fromkeys(name for name in names if name))


def _option(name: str, default: Any = None, least: int = 1, **more: Any) -> Any:
    if isinstance(default, int):
        more |= {"default": default, "show_default": True, "type": click.IntRange(min=least)}
    elif isinstance(default, tuple):
        more |= {"default": ",".join(default), "show_default": True, "callback": _names}
        more |= {"metavar": "A,B"}
    elif default is not None:
        more |= {"default": default, "show_default": True}
    return click.option(f"--{name}", **more)


OPTIONS = {
    "model": _option(
        "model", Settings.model, help="A hub id, a local folder, a .gguf file, or demo."
    ),
    "data": _option(
        "data",
        type=click.Path(exists=True, path_type=Path),
        help="The release's folder, or a table with an instruction and one column per style.",
    ),
    "styles": _option("styles", Settings.styles, help="Response styles, separated by commas."),
    "rows": _option("rows", Settings.rows, help="Examples per style."),
    "naive_rows": _option(
        "naive-rows",
        Settings.naive_rows,
        least=0,
        help="Examples for the naive method, spread over the lengths; 0 skips the method.",
    ),
    "rounds": _option("rounds", Settings.rounds, help="Rounds in which all methods are timed."),
    "budget": _option("budget", type=click.IntRange(min=1), help="The token budget of ours."),
    "shapes": _option("shapes", Settings.shapes, help="Architectures, separated by commas."),
    "tokens": _option("tokens", Settings.tokens, least=2, help="Tokens of the row for one layer."),
    "stored": _option("stored", Settings.stored, help="Rows of the row store."),
    "methods": _option(
        "methods",
        Settings.methods,
        help="Methods of peers, separated by commas [default: all].",
    ),
}
REAL_ROWS = ("model", "data", "styles", "rows", "budget")


def taking(*names: str) -> Callable[[Command], Command]:
    """Return a decorator that adds some of OPTIONS, and --out, to a command."""

    def decorate(command: Command) -> Command:
        out = click.option(
            "--out",
            type=click.Path(dir_okay=False, path_type=Path),
            help="The JSON file to write [default: bench/results/PART.json].",
        )
        decorated = out(command)
        for name in reversed(names):
            decorated = OPTIONS[name](decorated)
        return decorated

    return decorate


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
def main() -> None:
    """Measure gradpipe against the naive method and the bare passes in one run.

    Every part prints its table and the goals, and writes its numbers to a JSON file, with the table
    as Markdown beside it.
    """
    # The same settings as in gradpipe's own command line.
    set_up_cpu()
    # Do not log the start and the end of each profile.
    os.environ.setdefault("KINETO_LOG_LEVEL", "99")


@main.command()
@taking(*REAL_ROWS, "naive_rows", "rounds")
def passes(out: Path | None, **chosen: Any) -> None:
    """Time ours, the bare passes and the naive method on each response style."""
    _run("passes", ["passes"], out, chosen)


@main.command()
@taking(*REAL_ROWS, "rounds")
def alignment(out: Path | None, **chosen: Any) -> None:
    """Time ours with and without cosines and sketches on each response style."""
    _run("alignment", ["alignment"], out, chosen)


@main.command()
@taking("model", "budget", "rounds")
def spans(out: Path | None, **chosen: Any) -> None:
    """Time rows with spans, which share a forward pass, against spans as rows."""
    _run("spans", ["spans"], out, chosen)


@main.command()
@taking("shapes", "tokens", "rounds")
def layer(out: Path | None, **chosen: Any) -> None:
    """Time one layer at the shapes of larger models against the naive method."""
    _run("layer", ["layer"], out, chosen)


@main.command()
@taking(*REAL_ROWS, "shapes", "tokens")
def memory(out: Path | None, **chosen: Any) -> None:
    """Measure the peak memory of each method in a fresh process."""
    _run("memory", ["memory"], out, chosen)


@main.command(context_settings={"ignore_unknown_options": True, "help_option_names": []})
@click.argument("options", nargs=-1, type=click.UNPROCESSED)
def gpu(options: tuple[str, ...]) -> None:
    """Measure everything on a CUDA device in eight minutes (gpu --help has its options)."""
    from bench.gpu import measure_gpu

    sys.exit(measure_gpu(list(options)))


@main.command()
@taking(*REAL_ROWS)
def profile(out: Path | None, **chosen: Any) -> None:
    """Profile ours and the bare passes by operator on a few rows."""
    _run("profile", ["profile"], out, chosen)


@main.command()
@taking("rounds")
def page(out: Path | None, **chosen: Any) -> None:
    """Measure the size of the paper's report and the time a browser takes to open it."""
    _run("page", ["page"], out, chosen)


@main.command()
@taking("stored", "rounds")
def storage(out: Path | None, **chosen: Any) -> None:
    """Measure the row store's files, bytes and reads, before and after its merge."""
    _run("storage", ["storage"], out, chosen)


@main.command()
@click.option(
    "--sizes",
    default="10000,100000,1000000",
    show_default=True,
    callback=_names,
    metavar="N,N",
    help="Rows of the data files.",
)
@click.option(
    "--out",
    type=click.Path(dir_okay=False, path_type=Path),
    default=RESULTS / "streaming.json",
    help="The JSON file to write [default: bench/results/streaming.json].",
)
def streaming(sizes: tuple[str, ...], out: Path) -> None:
    """Measure memory and time of extract and rank by the number of rows, without a model."""
    from bench.streaming import measure_streaming, write_results

    found = measure_streaming(
        tuple(map(int, sizes)), lambda line: click.echo(f"  {line}", err=True)
    )
    write_results(found, out)
    click.echo(f"results in {out}")


@main.command()
@taking(*REAL_ROWS, "rounds", "methods")
def peers(out: Path | None, **chosen: Any) -> None:
    """Compare gradpipe with the other projects that environment variables name.

    REFERENCE and DATASCORER name checkouts of the paper's reference implementation and of
    ODA-DataScorer, BERGSON_PYTHON the Python of an environment with bergson.
    """
    _run("peers", ["peers"], out, chosen)


@main.command(name="all")
@taking(*(name for name in OPTIONS if name != "methods"))
def everything(out: Path | None, **chosen: Any) -> None:
    """Run every part but peers in turn: about an hour on two cores."""
    from bench.parts import PARTS

    _run("all", [part for part in PARTS if part != "peers"], out, chosen)


def _run(name: str, parts: list[str], out: Path | None, chosen: dict[str, Any]) -> None:
    from bench.parts import PARTS
    from bench.report import Report

    settings = Settings(**chosen)
    report = Report(out or RESULTS / f"{name}.json", settings)
    for part in parts:
        click.echo(f"{part}:", err=True)
        report.add(PARTS[part](settings, lambda line: click.echo(f"  {line}", err=True)))


if __name__ == "__main__":
    main(prog_name="python -m bench")

"""The optional packages, and the extra of gradpipe that installs each of them."""

from __future__ import annotations

from importlib import import_module
from types import ModuleType

#: Import name of an optional package: its name in messages, and the extra that installs it.
OPTIONAL_PACKAGES = {
    "dagster": ("Dagster", "pipeline"),
    "dagster_webserver": ("the Dagster UI", "pipeline"),
    "fsspec": ("fsspec", "pipeline"),
    "upath": ("universal-pathlib", "pipeline"),
    "datasets": ("datasets", "pipeline"),
    "math_verify": ("math-verify", "pipeline"),
    "requests": ("requests", "pipeline"),
    "aiohttp": ("aiohttp", "pipeline"),
    "altair": ("Altair", "report"),
    "vl_convert": ("vl-convert", "report"),
    "sklearn": ("scikit-learn", "report"),
    "openai": ("openai", "generate"),
    "tenacity": ("tenacity", "generate"),
    "anyio": ("anyio", "generate"),
    "peft": ("peft", "adapters"),
    "ray": ("Ray", "ray"),
    "s3fs": ("s3fs", "s3"),
    "dagster_postgres": ("dagster-postgres", "postgres"),
    "psycopg2": ("psycopg2", "postgres"),
}

#: The module behind the public name ``gradpipe.charts``; it needs the extra "report".
CHARTS = "gradpipe.report.charts.kinds"


def missing_package(module: str, needed_by: str, alternative: str = "") -> str:
    """Return the sentence for an optional package that is not installed.

    ``module`` is a key of OPTIONAL_PACKAGES, ``needed_by`` starts the sentence and ``alternative``
    is another way out, such as "use `engine: local`".
    """
    package, _ = OPTIONAL_PACKAGES[module]
    way_out = f", or {alternative}" if alternative else ""
    return f"{needed_by} needs {package}: {install_command(module)}{way_out}."


def install_command(module: str) -> str:
    """Return the command that installs an optional package, with its extra."""
    return f'pip install "gradpipe[{OPTIONAL_PACKAGES[module][1]}]"'


def import_charts() -> ModuleType:
    """Return the module behind ``gradpipe.charts``.

    Raises ModuleNotFoundError with the command that installs Altair if it is missing.
    """
    try:
        return import_module(CHARTS)
    except ModuleNotFoundError as error:
        if error.name != "altair":
            raise
        raise ModuleNotFoundError(
            missing_package("altair", "gradpipe.charts"), name="altair"
        ) from error

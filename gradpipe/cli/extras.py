"""Which extra of gradpipe brings an optional package that is not installed."""

from __future__ import annotations

#: Import name of an optional package: its own name for a reader, and the extra that brings it.
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
    "openai": ("openai", "generate"),
    "ray": ("Ray", "ray"),
    "s3fs": ("s3fs", "s3"),
    "dagster_postgres": ("dagster-postgres", "postgres"),
    "psycopg2": ("psycopg2", "postgres"),
}


def missing_extra(error: ModuleNotFoundError, command: str) -> str | None:
    """One sentence that names the extra to install for ``command``.

    Returns None if the missing module is not an optional package: that is a bug.
    """
    if error.name not in OPTIONAL_PACKAGES:
        return None
    package, extra = OPTIONAL_PACKAGES[error.name]
    return f"{command} needs {package}: pip install 'gradpipe[{extra}]'."

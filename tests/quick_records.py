"""Dagster's records in tests: databases that do not wait for the disk, logs without processes.

Every step of a run writes some ten events, each in a transaction of its own. Every new database
reads the eighty scripts of the schema's history. Every access makes a new engine, which asks the
database about itself and compiles all statements again. Every run starts four processes that print
the logs, which it writes anyway. Together they take half of a small run's time. Tests kill
processes and not machines, so what the operating system has taken is not lost.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

#: Each run has a database of its own.
MOST_ENGINES = 32


@cache
def quicken_records() -> None:
    """For the rest of this process."""
    import sqlalchemy
    from alembic.config import Config
    from alembic.script import ScriptDirectory
    from dagster._core.execution import compute_logs
    from dagster._core.storage.event_log.sqlite import sqlite_event_log
    from dagster._core.storage.runs.sqlite import sqlite_run_storage
    from dagster._core.storage.schedules.sqlite import sqlite_schedule_storage

    def without_waiting(connection: Any, _record: Any) -> None:
        if type(connection).__module__ == "sqlite3":
            connection.execute("PRAGMA synchronous = OFF")

    sqlalchemy.event.listen(sqlalchemy.Engine, "connect", without_waiting)
    engine_of = _remembered(sqlalchemy.create_engine)
    for storage in (sqlite_event_log, sqlite_run_storage, sqlite_schedule_storage):
        setattr(storage, "create_engine", engine_of)  # noqa: B010
    read: Any = ScriptDirectory.from_config
    scripts: dict[str | None, ScriptDirectory] = {}

    def read_once(config: Config) -> ScriptDirectory:
        place = config.get_main_option("script_location")
        if place not in scripts:
            scripts[place] = read(config)
        return scripts[place]

    setattr(ScriptDirectory, "from_config", read_once)  # noqa: B010
    compute_logs.tail_to_stream = _printed_by_nobody


def _remembered(create_engine: Callable[..., Any]) -> Callable[..., Any]:
    """One engine per database; none keeps a connection open, so files may come and go."""
    engines: dict[str, Any] = {}

    def engine_of(url: str, **settings: Any) -> Any:
        key = f"{url} {settings}"
        if key not in engines:
            if len(engines) >= MOST_ENGINES:
                engines.pop(next(iter(engines)))
            engines[key] = create_engine(url, **settings)
        return engines[key]

    return engine_of


@contextmanager
def _printed_by_nobody(_path: str, _stream: Any) -> Iterator[tuple[None, None]]:
    yield None, None

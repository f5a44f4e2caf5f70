"""Files at a fixed revision of an external repository, with their expected checksums."""

import json
from dataclasses import dataclass
from importlib import resources
from typing import Any

import polars as pl

from gradpipe.benchmarks.fetch import content_key, is_remote, join, read_bytes
from gradpipe.benchmarks.settings import BenchmarkSettings
from gradpipe.errors import DataError


@dataclass(frozen=True)
class PinnedFolder:
    """The files of one source: a ``section`` of checksums.json, by default at ``address``."""

    section: str
    address: str

    def location(self, config: BenchmarkSettings, file: str) -> str:
        """The location that ``file`` (a path relative to the folder) is read from."""
        return join(config.path or self.address, file)

    def read(self, config: BenchmarkSettings, file: str) -> bytes:
        """Read ``file``, verified unless the benchmark sets ``checksums: false``.

        Raises DataError when it is missing, unreachable or not the pinned file.
        """
        sha256 = self._expected(file)["sha256"] if config.checksums else None
        return read_bytes(self.location(config, file), sha256)

    def check_rows(self, config: BenchmarkSettings, file: str, table: pl.DataFrame) -> None:
        """Raise DataError if a verified file did not parse into its known number of rows."""
        expected = self.rows(file)
        if config.checksums and table.height != expected:
            raise DataError(
                f"{self.location(config, file)} was read as {table.height} rows instead of "
                f"{expected}, though its content is right: please report this fault of the reader."
            )

    def rows(self, file: str) -> int:
        """The number of rows of ``file``."""
        return int(self._expected(file)["rows"])

    def content(self, config: BenchmarkSettings, files: list[str]) -> dict[str, str]:
        """Identify each file's content, without network access for verified remote files."""
        return {
            file: self._expected(file)["sha256"]
            if config.checksums and is_remote(self.location(config, file))
            else content_key(self.location(config, file))
            for file in files
        }

    def _expected(self, file: str) -> dict[str, Any]:
        packaged = resources.files("gradpipe.benchmarks") / "checksums.json"
        expected: dict[str, Any] = json.loads(packaged.read_text("utf-8"))[self.section][file]
        return expected

"""Data set repositories on the Hugging Face hub, each with the commit that is read by default."""

from collections.abc import Sequence
from dataclasses import dataclass

from pydantic import Field

from gradpipe.benchmarks.fetch import content_key, join
from gradpipe.benchmarks.remote_parquet import absolute_location, refusal
from gradpipe.benchmarks.settings import BenchmarkSettings
from gradpipe.errors import DataError


class RepositorySettings(BenchmarkSettings):
    """The setting of a source that reads a repository on the hub."""

    revision: str | None = Field(
        default=None,
        min_length=1,
        max_length=200,
        description="A commit, tag or branch of the hub's repository, instead of the pinned one.",
    )


def check_folder_or_revision(config: RepositorySettings) -> None:
    """Raise DataError if the benchmark sets both a folder and a revision to read."""
    if config.path is not None and config.revision is not None:
        raise DataError(
            f"the benchmark {config.name!r} has both a `path` and a `revision`, which is one "
            "of the hub's own repository: remove one of them."
        )


@dataclass(frozen=True)
class Repository:
    """A data set repository on the hub, with the commit that is read by default."""

    name: str
    revision: str

    def folder(self, config: RepositorySettings) -> str:
        """The location of the repository's files: the benchmark's ``path``, or the hub."""
        return config.path or f"hf://datasets/{self.name}@{config.revision or self.revision}"

    def content(self, config: RepositorySettings, files: Sequence[str]) -> dict[str, str]:
        """Identify the content of ``files``; a pinned revision needs no network access.

        Raises DataError when a file of a ``path`` is missing, or when a branch or tag cannot be
        resolved to its commit.
        """
        if config.path is not None:
            return {file: content_key(absolute_location(join(config.path, file))) for file in files}
        return {join(self.name, file): self._commit(config.revision) for file in files}

    def _commit(self, revision: str | None) -> str:
        revision = revision or self.revision
        try:
            return commit_of(self.name, revision)
        except Exception as error:
            raise refusal(f"the revision {revision!r} of {self.name}", error) from error


def commit_of(name: str, revision: str) -> str:
    """The commit of a revision of a data set repository; a commit itself is not looked up.

    Raises an error of the hub's client when a branch or tag cannot be resolved.
    """
    if len(revision) == 40 and not set(revision) - set("0123456789abcdef"):
        return revision
    # Imported here, since it takes a quarter of a second and pinned commits do not need it.
    from huggingface_hub import HfApi

    return str(HfApi().dataset_info(name, revision=revision).sha)

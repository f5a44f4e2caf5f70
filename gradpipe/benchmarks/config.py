"""The configuration of one benchmark of a study: the settings of all sources, and their check."""

from typing import Annotated, Self

from pydantic import Field, GetPydanticSchema, model_validator
from pydantic_core import core_schema

from gradpipe.benchmarks.settings import BenchmarkSettings
from gradpipe.benchmarks.sources import SOURCES
from gradpipe.benchmarks.sources.flan import FlanSettings
from gradpipe.benchmarks.sources.hub import HubSettings
from gradpipe.benchmarks.sources.wikipedia_settings import WikipediaSettings
from gradpipe.errors import DataError

SOURCES_BY_NAME = {source.name: source for source in SOURCES}

#: One of the names of SOURCES, validated as a Literal of them would be.
_SourceName = Annotated[
    str, GetPydanticSchema(lambda *_: core_schema.literal_schema(list(SOURCES_BY_NAME)))
]


class BenchmarkConfig(WikipediaSettings, FlanSettings, HubSettings):
    """One benchmark of a study.

    ``path`` is a local folder or file, or an fsspec URL. Without it, the source's own pinned
    address is used (``release``, ``flan``, ``hub``, ``wikipedia``) or the packaged data (``mini``).
    ``sample`` and ``styles`` narrow the study's settings for this benchmark only. ``checksums:
    false`` allows an altered copy of pinned files. If ``family`` is neither known nor given, it is
    ``knowledge`` when all styles are knowledge styles, else ``commonsense``.

    ``revision`` (a commit, tag or branch of the hub's repository) replaces the pinned one. A
    ``hub`` benchmark with a name of your own is the data set ``path``, written ORG/NAME, of which
    ``config`` and ``split`` (with or without a slice of rows) choose the rows.
    ``line_breaks`` sets how line breaks inside instructions and rationales are written: ``source``
    keeps them unchanged, ``real`` turns a literal backslash-n into a line break, and ``escaped``
    does the reverse. ``quotes: csv`` reads FLAN's files as the paper's authors did.
    """

    later = ("config", "response_template")
    source: _SourceName = Field(description=BenchmarkSettings.model_fields["source"].description)

    @model_validator(mode="after")
    def _settings_that_the_source_reads(self) -> Self:
        source = SOURCES_BY_NAME[self.source]
        for setting, field in type(self).model_fields.items():
            changed = getattr(self, setting) != field.default
            if changed and setting not in source.settings.model_fields:
                readers = [repr(s.name) for s in SOURCES if setting in s.settings.model_fields]
                raise DataError(
                    f"the benchmark {self.name!r} sets `{setting}`, which the source "
                    f"{self.source!r} does not read: remove it, or take the source "
                    f"{' or '.join(readers)}."
                )
        source.check(self)
        return self

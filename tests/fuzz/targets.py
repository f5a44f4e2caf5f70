"""What is fuzzed: functions of bytes that raise only where gradpipe does what it should not.

A GradpipeError is an answer. Anything else that comes out, a result that breaks a promise, a hang
or memory without bound is a fault. Each target is cheap to call and keeps nothing.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from string import ascii_letters, digits
from tempfile import NamedTemporaryFile, TemporaryDirectory

import polars as pl

from gradpipe.benchmarks.config import BenchmarkConfig
from gradpipe.benchmarks.settings import ColumnNames
from gradpipe.benchmarks.sources.flan import parse_quoted_tsv, parse_tsv
from gradpipe.benchmarks.sources.page_views import read_views
from gradpipe.benchmarks.sources.wikipedia_settings import WikipediaPages
from gradpipe.benchmarks.table_files import parse_table, text_column
from gradpipe.claims.parse import parse_claim
from gradpipe.engines.settings import RayConfig
from gradpipe.errors import GradpipeError
from gradpipe.generators.budget import Budget, TokenPrice
from gradpipe.generators.config import GeneratorConfig
from gradpipe.gradients.layer_names import LayerNames
from gradpipe.gradients.protocol import Protocol
from gradpipe.standalone.ranking import score_spectra_file
from gradpipe.standalone.user_examples import examples_of_table
from gradpipe.statistics.reductions import REDUCTIONS
from gradpipe.studies.load import load_study, parse_study, study_yaml
from gradpipe.studies.model_config import ModelConfig
from gradpipe.studies.study import Study
from gradpipe.styles import STYLES
from gradpipe.untrusted.gguf_header import check_header, read_header_text
from storage.names import slug, unslug
from storage.row_store import RowStore

#: The characters of a slug.
SLUG = f"{ascii_letters}{digits}._=~-"
#: Columns as a store of spectra has them.
ROWS = pl.Schema(
    {
        "key": pl.String(),
        "loss": pl.Float64(),
        "tokens": pl.Int64(),
        "spectra": pl.List(pl.Struct({"layer": pl.Int64(), "values": pl.List(pl.Float64())})),
    }
)
Target = Callable[[bytes], None]


def study(data: bytes) -> None:
    """A study file: a Study that reads back from what it writes, or a refusal."""
    with _file(data, ".yaml") as path, suppress(GradpipeError):
        found = load_study(str(path))
        assert parse_study(study_yaml(found), "again") == found


def claim(data: bytes) -> None:
    """A claim of a study's own, in words; what it is called means the same claim."""
    with suppress(GradpipeError):
        found = parse_claim(data.decode("utf-8", "replace"), tuple(REDUCTIONS))
        assert parse_claim(found.claim, tuple(REDUCTIONS)) == found


def slugs(data: bytes) -> None:
    """A name there and back, and a slug from elsewhere."""
    with suppress(GradpipeError):
        unslug(data.decode("latin-1"))
    # Two bytes a character reach every one there is, halves of surrogate pairs among them.
    name = data.decode("utf-16-le", "surrogatepass" if len(data) % 2 == 0 else "replace")
    with suppress(GradpipeError):
        encoded = slug(name)
        assert unslug(encoded) == name
        assert set(encoded) <= set(SLUG)
        assert not encoded.startswith(".")


def views(data: bytes) -> None:
    """A page-view dump: the first byte says how it is packed."""
    kind = (".txt", ".gz", ".bz2", ".zip")[data[0] % 4] if data else ".txt"
    with _file(data[1:], kind) as path, suppress(GradpipeError):
        read_views(str(path), "en.wikipedia")


def flan(data: bytes) -> None:
    """The tab-separated reasoning sets, read in both ways."""
    for parse in (parse_tsv, parse_quoted_tsv):
        with suppress(GradpipeError):
            parse(data, "a.tsv")


def spectra(data: bytes) -> None:
    """A table that `gradpipe extract` wrote, as `gradpipe rank --spectra` reads it."""
    with _file(data, ".parquet") as path:
        for statistic in ("nuclear_norm", "effective_rank"):
            with suppress(GradpipeError):
                score_spectra_file(path, statistic)


def rows(data: bytes) -> None:
    """A row store with one part of these bytes, read in each of the ways it can be."""
    with TemporaryDirectory(dir=_memory()) as folder:
        store = RowStore(Path(folder), ROWS)
        (store.folder / "part-0-0.parquet").write_bytes(data)
        keys = pl.Series("key", ["a", "b"])
        for read in (
            store.damage,
            store.keys,
            store.scan().collect,
            store.scan(keys).collect,
            lambda: list(store.chunks(keys)),
        ):
            with suppress(GradpipeError):
                read()


def gguf(data: bytes) -> None:
    """The header of a model's file, as it is looked at before any reader loads it."""
    with _file(data, ".gguf") as path:
        for read in (check_header, lambda path: read_header_text(path, "tokenizer.chat_template")):
            with suppress(GradpipeError):
                read(path)


def _table(kind: str) -> Target:
    def read(data: bytes) -> None:
        name = f"a.{kind}"
        with suppress(GradpipeError):
            table = parse_table(data, name)
            for column in table.columns:
                with suppress(GradpipeError):
                    # As keys and tokens, texts are encoded: a text that cannot be is no text.
                    "".join(text_column(table, column, name).drop_nulls()).encode()
            examples_of_table(table, name)

    read.__doc__ = f"A table of the kind {kind}, its columns as text and its rows as examples."
    return read


@contextmanager
def _file(data: bytes, ending: str) -> Iterator[Path]:
    """A file of these bytes."""
    with NamedTemporaryFile(suffix=ending, dir=_memory()) as file:
        file.write(data)
        file.flush()
        yield Path(file.name)


def _memory() -> str | None:
    """A folder in memory, where the system has one: files come and go thousandfold."""
    return "/dev/shm" if os.access("/dev/shm", os.W_OK) else None


TARGETS: dict[str, Target] = {
    "study": study,
    "claim": claim,
    "slugs": slugs,
    "views": views,
    "flan": flan,
    "spectra": spectra,
    "gguf": gguf,
    "rows": rows,
    **{kind: _table(kind) for kind in ("json", "jsonl", "csv", "tsv", "parquet", "arrow")},
}


def _words() -> set[str]:
    """What a study and a table may say, for the fuzzer to write too."""
    models = [
        Study,
        ModelConfig,
        BenchmarkConfig,
        ColumnNames,
        WikipediaPages,
        Protocol,
        LayerNames,
    ]
    models += [GeneratorConfig, Budget, TokenPrice, RayConfig]
    keys = {name for model in models for name in model.model_fields}
    syntax = {"<<: *a", "&a ", "*a", "!!python/", "!!binary ", ".inf", ".nan", "0x", "? ", "---"}
    return (
        keys
        | {*STYLES, *REDUCTIONS}
        | syntax
        | {"irrelevant", "mad of", "relative mad of", "log mad of", "in early layers"}
    )


WORDS = _words()

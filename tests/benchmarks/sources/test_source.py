"""What every source has in common."""

import inspect
import textwrap
from pathlib import Path
from typing import Any, ClassVar

import polars as pl

from gradpipe.benchmarks import sources
from gradpipe.benchmarks.fetch import content_key
from gradpipe.benchmarks.items import ITEM_SCHEMA, build_items
from gradpipe.benchmarks.settings import BenchmarkSettings
from gradpipe.benchmarks.sources.source import Source
from gradpipe.benchmarks.table_files import read_table


def test_the_example_of_a_source_reads_items(write: Any) -> None:
    """The example that tells how to add a source is code that runs."""
    text = inspect.getdoc(sources) or ""
    example = text[text.index("    class ") : text.index("``content_key``")]
    names: dict[str, Any] = {
        "BenchmarkSettings": BenchmarkSettings,
        "ClassVar": ClassVar,
        "Source": Source,
        "build_items": build_items,
        "content_key": content_key,
        "pl": pl,
        "read_table": read_table,
    }
    exec(textwrap.dedent(example), names)
    source = names["Arithmetic"]()
    path: Path = write("a.csv", "instruction,answer\n1 + 1?,2\n2 + 2?,4\n")
    config = BenchmarkSettings(name="arithmetic", source=source.name, path=str(path))
    source.check_name(config.name)
    items = source.read(config)
    assert items.schema == ITEM_SCHEMA
    assert items["family"].unique().to_list() == ["math"]
    assert [responses[0]["text"] for responses in items["responses"]] == ["2", "4"]
    identity = source.content(config)
    path.write_text("instruction,answer\n1 + 1?,3\n")
    assert source.content(config) != identity

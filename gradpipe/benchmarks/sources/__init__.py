"""Where benchmarks come from, one file per source.

``mini``            gradpipe's own small sets
``paper_release``   the paper's published data (``release`` in a study)
``quality_release`` the sequel's subsets of low and high quality
``flan``            FLAN's chain-of-thought files
``hub``             data sets of the hub
``wikipedia``       pages of a Wikipedia snapshot; ``page_views`` finds popular ones
``user_files``      a user's own table (``files`` in a study)

To add a source, write a subclass of ``Source`` in a file of its own and add one line to
``SOURCES``:

    class Arithmetic(Source[BenchmarkSettings]):
        name = "arithmetic"
        families: ClassVar = {"arithmetic": "math"}

        def content(self, config: BenchmarkSettings) -> dict[str, str]:
            return {"file": content_key(str(config.path))}

        def read(self, config: BenchmarkSettings) -> pl.DataFrame:
            table = read_table(str(config.path)).with_columns(rationale=pl.lit(None, pl.String))
            responses = {("none", "correct"): "answer"}
            return build_items(table, config.name, self.family(config), responses)

``content_key`` is in ``benchmarks/fetch.py``, ``read_table`` in ``benchmarks/table_files.py`` and
``build_items`` in ``benchmarks/items.py``. A source that needs a setting of its own declares it in
a subclass of ``BenchmarkSettings``, names that class as its ``settings``, and adds it to the base
classes of ``BenchmarkConfig`` in ``benchmarks/config.py``.
"""

from typing import Any

from gradpipe.benchmarks.sources.flan import Flan
from gradpipe.benchmarks.sources.hub import Hub
from gradpipe.benchmarks.sources.mini import Mini
from gradpipe.benchmarks.sources.paper_release import PaperRelease
from gradpipe.benchmarks.sources.quality_release import QualityRelease
from gradpipe.benchmarks.sources.source import Source
from gradpipe.benchmarks.sources.user_files import UserFiles
from gradpipe.benchmarks.sources.wikipedia import Wikipedia

#: Every source that a study may name.
SOURCES: tuple[Source[Any], ...] = (
    Mini(),
    PaperRelease(),
    QualityRelease(),
    Flan(),
    Hub(),
    Wikipedia(),
    UserFiles(),
)

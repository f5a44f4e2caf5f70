"""What the tests of tables share: bytes as a data frame."""

import polars as pl

from gradpipe.tables.parts import frame_of_parts, open_part


def frame(data: bytes | str, name: str) -> pl.DataFrame:
    content = data.encode() if isinstance(data, str) else data
    return frame_of_parts([open_part(content, name)], name)

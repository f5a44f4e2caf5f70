"""The tables' files inside the page, so that its links work without the folder beside it."""

from collections.abc import Iterator

from gradpipe.report.page.blocks import Block
from gradpipe.report.page.pack import deflated
from gradpipe.report.report_data import ReportInputs
from gradpipe.report.tables.write import all_tables, table_frames, with_fields

#: Letters of all files, and rows of one: a table with more is only beside the page.
_MOST_OF_FILES, _MOST_ROWS = 1_500_000, 20_000


def held_files(inputs: ReportInputs, room: int) -> Iterator[Block]:
    """The CSV files that the page has ``room`` for, the smallest first.

    ``room`` is a number of letters. The files are those of `write_tables`, with all digits.
    """
    room = min(room, _MOST_OF_FILES)
    frames = table_frames(inputs, all_tables(inputs))
    for name, frame in sorted(frames.items(), key=lambda one: one[1].height):
        if frame.height > _MOST_ROWS:
            return
        text = deflated(with_fields(frame).write_csv().encode())
        room -= len(text)
        if room < 0:
            return
        yield ("file", f"{name}.csv"), text

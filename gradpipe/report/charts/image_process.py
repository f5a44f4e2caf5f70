"""The script of the processes that draw charts: it imports nothing of gradpipe, to start fast."""

import json
import os
import signal
import sys
from pathlib import Path

import vl_convert

#: Pixels per unit of the drawing: about 170 dots per inch at the width of a page.
PNG_SCALE = 1.5
#: The ending of a chart that is to be drawn.
SPECIFICATION = ".vl.json"


def draw_charts(parent: int, specifications: list[str]) -> None:
    """Replace each file NAME.vl.json by NAME.svg and NAME.png, while the parent process runs."""
    for path in map(Path, specifications):
        if os.getppid() != parent:
            return
        svg = vl_convert.vegalite_to_svg(path.read_text(encoding="utf-8"))
        name = path.name.removesuffix(SPECIFICATION)
        path.with_name(f"{name}.svg").write_text(svg, encoding="utf-8", newline="\n")
        path.with_name(f"{name}.png").write_bytes(vl_convert.svg_to_png(svg, scale=PNG_SCALE))
        path.unlink()


if __name__ == "__main__":
    # Ctrl-C reaches all processes of a terminal: the parent stops these.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    draw_charts(int(sys.argv[1]), json.load(sys.stdin))

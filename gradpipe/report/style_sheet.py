"""How a study's styles are shown: their order, labels and colors.

Every chart, table and sentence of a report shows a style in the same way, so the sheet of the
report that is being built holds inside a block, as the context of `decimal` does.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from gradpipe.studies.study import Study

#: The paper of the page in dark mode, and the least contrast of a drawing's color with it.
_DARK_PAPER = "#12161c"
_LEAST_CONTRAST = 4.5


@dataclass(frozen=True)
class StyleSheet:
    """The ``order`` of a study's styles, and their ``labels`` and ``colors`` as far as it has any.

    Both are pairs of a style and a text. Nothing in it changes a number.
    """

    order: tuple[str, ...] = ()
    labels: tuple[tuple[str, str], ...] = ()
    colors: tuple[tuple[str, str], ...] = ()

    @classmethod
    def of(cls, order: Sequence[str], labels: Mapping[str, str], colors: Mapping[str, str]) -> Self:
        """The sheet of a study with these styles."""
        return cls(tuple(order), tuple(labels.items()), tuple(colors.items()))

    def dark_rules(self) -> str:
        """Rules of CSS that lighten the study's own colors until dark paper does not hide them."""
        rules = []
        for color in dict.fromkeys(color for _, color in self.colors):
            lighter = lightened(color)
            if lighter != color:
                rules.append(
                    f'  [stroke="{color}"] {{ stroke: {lighter}; }} '
                    f'[fill="{color}"] {{ fill: {lighter}; }}'
                )
        head = "@media screen and (prefers-color-scheme: dark) {"
        return "\n".join([head, *rules, "}"]) if rules else ""


#: The sheet of a study that declares no styles.
BUILT_IN_STYLES = StyleSheet()
_SHEET: ContextVar[StyleSheet] = ContextVar("style_sheet", default=BUILT_IN_STYLES)


def current_sheet() -> StyleSheet:
    """The sheet of the block around the caller; one without styles outside of any."""
    return _SHEET.get()


def sheet_of(study: Study) -> StyleSheet:
    """The sheet of a study; the built-in one if it declares no styles."""
    styles = study.styles
    if styles is None or not styles.settings:
        return BUILT_IN_STYLES
    return StyleSheet.of(styles, styles.labels, styles.colors)


@contextmanager
def showing(sheet: StyleSheet) -> Iterator[None]:
    """A block in which styles are shown as ``sheet`` says."""
    token = _SHEET.set(sheet)
    try:
        yield
    finally:
        _SHEET.reset(token)


def assigned_colors(
    styles: Iterable[str], fixed: Mapping[str, str], palette: Sequence[str]
) -> dict[str, str]:
    """A color per style: those in ``fixed``, then the colors of ``palette`` that none of them has.

    A palette that is too short is used again from its beginning.
    """
    names = list(dict.fromkeys(styles))
    used = {fixed[name].upper() for name in names if name in fixed}
    left = [color for color in palette if color.upper() not in used] or list(palette)
    others = [name for name in names if name not in fixed]
    given = {name: left[place % len(left)] for place, name in enumerate(others)}
    return {name: fixed.get(name) or given[name] for name in names}


def lightened(color: str) -> str:
    """The color (#RRGGBB), mixed with as little white as dark paper needs."""
    red, green, blue = _channels(color)
    for step in range(21):
        share = step / 20
        mixed = [round(value + (255 - value) * share) for value in (red, green, blue)]
        if _contrast(mixed, _channels(_DARK_PAPER)) >= _LEAST_CONTRAST:
            return color if step == 0 else "#" + "".join(f"{value:02x}" for value in mixed)
    return "#ffffff"


def _channels(color: str) -> list[int]:
    return [int(color[start : start + 2], 16) for start in (1, 3, 5)]


def _contrast(one: Sequence[int], other: Sequence[int]) -> float:
    """The contrast ratio of two colors, as WCAG 2 defines it: 1 to 21."""
    dark, light = sorted((_luminance(one), _luminance(other)))
    return (light + 0.05) / (dark + 0.05)


def _luminance(channels: Sequence[int]) -> float:
    shares = [value / 255 for value in channels]
    linear = [s / 12.92 if s <= 0.04045 else ((s + 0.055) / 1.055) ** 2.4 for s in shares]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

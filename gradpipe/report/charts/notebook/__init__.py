"""Charts for notebooks: ``gradpipe.charts``, one function per kind of chart that the report has.

Each function takes a table that another function of gradpipe returned and gives back an Altair
chart with its data, which a notebook shows and ``chart.save("curves.svg")`` writes::

    import gradpipe as gp

    spectra = gp.extract_spectra(loaded.model, loaded.tokenizer, pairs)
    gp.charts.curves(gp.curves(spectra))
"""

from gradpipe.report.charts.notebook.curves import (
    base_and_tuned,
    curves,
    difference_by_layer,
    relevance,
    relevance_ratios,
    style_ratios,
)
from gradpipe.report.charts.notebook.discrimination import discrimination
from gradpipe.report.charts.notebook.effects import comparison, length, verdicts
from gradpipe.report.charts.notebook.gradients import alignment, examples, spectra
from gradpipe.report.charts.notebook.summaries import knowledge, mad, relative_difference

#: In the order of the reference page.
__all__ = [  # noqa: RUF022
    "curves",
    "style_ratios",
    "relevance",
    "relevance_ratios",
    "difference_by_layer",
    "base_and_tuned",
    "mad",
    "knowledge",
    "relative_difference",
    "discrimination",
    "verdicts",
    "length",
    "comparison",
    "alignment",
    "examples",
    "spectra",
]

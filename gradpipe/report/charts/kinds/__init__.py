"""Every kind of chart, one per file, and ``gradpipe.charts``: their functions for notebooks.

Each function takes a table that another function of gradpipe returned and gives back an Altair
chart with its data, which a notebook shows and ``chart.save("curves.svg")`` writes::

    import gradpipe as gp

    spectra = gp.extract_spectra(loaded.model, loaded.tokenizer, pairs)
    gp.charts.curves(gp.curves(spectra))

To add a chart, write one file with its `ChartKind` and name it here.
"""

from gradpipe.report.charts.kind import ChartKind
from gradpipe.report.charts.kinds.auroc_by_layer import AUROC_BY_LAYER, discrimination
from gradpipe.report.charts.kinds.base_and_tuned import BASE_AND_TUNED, base_and_tuned
from gradpipe.report.charts.kinds.claims_over_steps import CLAIMS_OVER_STEPS, claims_by_steps
from gradpipe.report.charts.kinds.comparison_of_sides import COMPARISON_OF_SIDES, comparison
from gradpipe.report.charts.kinds.correct_and_irrelevant import CORRECT_AND_IRRELEVANT, relevance
from gradpipe.report.charts.kinds.cosines import (
    COSINES_NEXT_LAYER,
    COSINES_RESPONSES,
    COSINES_SAME_LAYER,
    alignment,
)
from gradpipe.report.charts.kinds.curves_by_layer import CURVES, curves
from gradpipe.report.charts.kinds.curves_of_one_style import (
    CURVES_OF_MODELS,
    CURVES_OF_STYLES,
    curves_of_models,
    curves_of_styles,
)
from gradpipe.report.charts.kinds.difference_by_layer import (
    DIFFERENCE_BY_LAYER,
    difference_by_layer,
)
from gradpipe.report.charts.kinds.examples_by_length import EXAMPLES_BY_LENGTH, examples
from gradpipe.report.charts.kinds.extreme_spectra import EXTREME_SPECTRA, spectra
from gradpipe.report.charts.kinds.headline_curves import HEADLINE_CURVES, headline
from gradpipe.report.charts.kinds.knowledge_by_length import KNOWLEDGE_BY_LENGTH, knowledge
from gradpipe.report.charts.kinds.layers_by_projection import LAYERS_BY_PROJECTION, heatmap
from gradpipe.report.charts.kinds.layers_over_steps import LAYERS_OVER_STEPS, layers_by_steps
from gradpipe.report.charts.kinds.length_controls import LENGTH_BY_CONTROL, length
from gradpipe.report.charts.kinds.mad_by_style import MAD_BY_STYLE, mad
from gradpipe.report.charts.kinds.rd_by_style import RD_BY_STYLE, relative_difference
from gradpipe.report.charts.kinds.relevance_ratios import RELEVANCE_RATIOS, relevance_ratios
from gradpipe.report.charts.kinds.single_example import (
    CURVES_OF_ONE_EXAMPLE,
    LOSS_OF_EACH_TOKEN,
    one_example,
    token_losses,
)
from gradpipe.report.charts.kinds.statistic_over_steps import STATISTIC_OVER_STEPS, over_steps
from gradpipe.report.charts.kinds.style_ratios import STYLE_RATIOS, style_ratios
from gradpipe.report.charts.kinds.verdicts_on_claims import VERDICTS_ON_CLAIMS, verdicts

#: In the order of the page and of the reference.
ALL_KINDS: tuple[ChartKind, ...] = (
    HEADLINE_CURVES,
    CURVES,
    LAYERS_BY_PROJECTION,
    CURVES_OF_STYLES,
    CURVES_OF_MODELS,
    STYLE_RATIOS,
    CORRECT_AND_IRRELEVANT,
    RELEVANCE_RATIOS,
    DIFFERENCE_BY_LAYER,
    BASE_AND_TUNED,
    MAD_BY_STYLE,
    KNOWLEDGE_BY_LENGTH,
    RD_BY_STYLE,
    AUROC_BY_LAYER,
    VERDICTS_ON_CLAIMS,
    LENGTH_BY_CONTROL,
    COMPARISON_OF_SIDES,
    COSINES_SAME_LAYER,
    COSINES_NEXT_LAYER,
    COSINES_RESPONSES,
    EXAMPLES_BY_LENGTH,
    CURVES_OF_ONE_EXAMPLE,
    LOSS_OF_EACH_TOKEN,
    EXTREME_SPECTRA,
    CLAIMS_OVER_STEPS,
    STATISTIC_OVER_STEPS,
    LAYERS_OVER_STEPS,
)
#: The same by name.
KINDS = {kind.name: kind for kind in ALL_KINDS}

#: The functions of ``gp.charts``, in the order of the reference page.
__all__ = [  # noqa: RUF022
    "headline",
    "curves",
    "heatmap",
    "curves_of_styles",
    "curves_of_models",
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
    "one_example",
    "token_losses",
    "spectra",
    "over_steps",
    "claims_by_steps",
    "layers_by_steps",
]

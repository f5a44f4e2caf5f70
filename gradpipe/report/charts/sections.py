"""The sections of the page that show results, in their order.

A chart names its section in its `PageFigure`, and may bring one of its own. Each section has its
charts, then its tables. One with more than that has a template, ``page/sections/ID.html.jinja``.
"""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Section:
    """A section of the page: its id, its name in the navigation and its heading.

    It is shown if the page has one of its charts or of its ``tables``. A section of a single chart,
    which is not in `SECTIONS`, comes after the one whose id is ``after``, or last.
    """

    id: str
    name: str
    heading: str
    tables: tuple[str, ...] = ()
    after: str | None = None


#: The first screen of the page, which the page's own template shows.
HEADLINE_SECTION = Section(id="headline", name="", heading="")
VERDICTS_SECTION = Section(
    id="verdicts",
    name="Verdicts",
    heading="Verdicts, and how clear they are",
    tables=("verdicts_overall",),
)
CURVES_SECTION = Section(id="curves", name="Curves", heading="The gradient from layer to layer")
RATIO_SECTION = Section(id="ratio", name="Ratios", heading="Ratios of two styles")
RELEVANCE_SECTION = Section(
    id="relevance",
    name="Correct and irrelevant",
    heading="Correct and irrelevant responses",
    tables=("rd",),
)
DISCRIMINATION_SECTION = Section(
    id="discrimination",
    name="Discrimination",
    heading="Telling responses apart",
    tables=("discrimination",),
)
MAD_SECTION = Section(
    id="mad", name="MAD", heading="How uneven the curves are (MAD)", tables=("mad",)
)
TWINS_SECTION = Section(
    id="twins",
    name="Base and tuned",
    heading="Base and instruction-tuned models",
    tables=("base_and_tuned",),
)
KNOWLEDGE_SECTION = Section(
    id="knowledge",
    name="Knowledge",
    heading="Knowledge by length and popularity",
    tables=("knowledge",),
)
LENGTH_SECTION = Section(id="length", name="Length", heading="Length as a confounder")
ALIGNMENT_SECTION = Section(id="alignment", name="Alignment", heading="Directions of the gradients")
SETS_SECTION = Section(
    id="sets",
    name="Sets",
    heading="Sets of examples",
    tables=("set_diversity", "set_cosines"),
)
SPANS_SECTION = Section(
    id="spans", name="Spans", heading="Parts of the responses", tables=("spans",)
)
EXAMPLES_SECTION = Section(id="examples", name="Examples", heading="Single examples")

#: The sections that several charts or a template share.
SECTIONS = (
    *(
        HEADLINE_SECTION,
        VERDICTS_SECTION,
        CURVES_SECTION,
        RATIO_SECTION,
        RELEVANCE_SECTION,
        DISCRIMINATION_SECTION,
    ),
    *(MAD_SECTION, TWINS_SECTION, KNOWLEDGE_SECTION, LENGTH_SECTION, ALIGNMENT_SECTION),
    *(SETS_SECTION, SPANS_SECTION, EXAMPLES_SECTION),
)

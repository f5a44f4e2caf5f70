"""Response styles and relevances: the two axes along which an item becomes examples."""

REASONING_STYLES = ("none", "simplified", "detailed")
#: Variants of styles with the length of ``simplified``: see gradpipe.responses.length_matched.
MATCHED_STYLES = ("none_padded", "detailed_cut")
#: The answer of a thinking model without and with its thinking: two responses of one call.
THINKING_STYLES = ("answer_only", "thinking")
#: Styles of a given length, shortest first, each with its target length in tokens.
LENGTH_STYLES = {"length_100": 100, "length_500": 500, "length_1000": 1000}
KNOWLEDGE_STYLES = (*LENGTH_STYLES, "article")
#: The response that the data give, of whatever kind it is.
GIVEN = "given"
#: Responses of data of lower and of higher quality. An item has only one of them.
QUALITY_STYLES = ("quality_low", "quality_high")
STYLES = (
    *(*REASONING_STYLES, *MATCHED_STYLES, *THINKING_STYLES, *KNOWLEDGE_STYLES, GIVEN),
    *QUALITY_STYLES,
)
#: ``rejected``: the response that the data mark as worse than the given one, to the same question.
#: ``wrong``: on topic, with another final answer; see gradpipe.responses.wrong.
RELEVANCES = ("correct", "irrelevant", "rejected", "wrong")

"""Response styles and relevances: the two axes along which an item becomes examples."""

REASONING_STYLES = ("none", "simplified", "detailed")
#: Variants of styles with the length of ``simplified``: see gradpipe.responses.length_matched.
MATCHED_STYLES = ("none_padded", "detailed_cut")
KNOWLEDGE_STYLES = ("length_100", "length_500", "length_1000", "article")
STYLES = REASONING_STYLES + MATCHED_STYLES + KNOWLEDGE_STYLES
RELEVANCES = ("correct", "irrelevant")

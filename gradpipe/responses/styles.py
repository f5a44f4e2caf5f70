"""Response styles and relevances: the two axes along which an item becomes examples."""

REASONING_STYLES = ("none", "simplified", "detailed")
KNOWLEDGE_STYLES = ("length_100", "length_500", "length_1000", "article")
STYLES = REASONING_STYLES + KNOWLEDGE_STYLES
RELEVANCES = ("correct", "irrelevant")

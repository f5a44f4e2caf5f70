"""The styles that a model writes, and how long a response in each may be."""

from gradpipe.styles import THINKING_STYLES

#: The styles that a model writes, and the default limit of tokens per response. A thinking model's
#: limit holds for its thinking and its answer together.
MAX_TOKENS = {
    "simplified": 512,
    "detailed": 2048,
    "length_100": 256,
    "length_500": 1024,
    "length_1000": 2048,
    **dict.fromkeys(THINKING_STYLES, 8192),
}
#: ``none`` is the item's own answer and needs no call.
WRITTEN_STYLES = ("none", *MAX_TOKENS)

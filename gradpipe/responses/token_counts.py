"""Lengths of texts: how they are counted, with a model's tokenizer or without one."""

import re
from collections.abc import Callable

#: Counts the tokens of each text.
CountTokens = Callable[[list[str]], list[int]]


def count_words(texts: list[str]) -> list[int]:
    """Count the words and punctuation marks of each text: a model-independent length."""
    return [len(re.findall(r"\w+|[^\w\s]", text)) for text in texts]

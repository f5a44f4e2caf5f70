"""Read yes or no from a conclusion that only repeats the question's words.

"Did Naruto escape?" is answered by "In conclusion, Naruto did not escape." A response counts only
if its conclusion names what the question names and repeats its verb.
"""


def verdict_on_question(text: str, question: str) -> bool | None:
    """Whether the conclusion of ``text`` affirms what ``question`` asks; None if it does neither."""
    return None

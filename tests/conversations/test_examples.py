"""Examples have a hash that stays, and texts to show."""

from gradpipe.conversations.examples import (
    Conversation,
    Example,
    Pair,
    PlainText,
    TextSpan,
    TokenIds,
    Unusable,
    hash_examples,
    texts_of,
)
from gradpipe.system.hashing import content_hash

ASKED = {"role": "user", "content": "a"}
SAID = {"role": "assistant", "content": "b"}
KINDS_OF_EXAMPLES: list[Example] = [
    Pair("a", "b"),
    Pair("a", "b", joined=True),
    Pair("a", "b", spans=(TextSpan("all", 0, 1),)),
    Pair("a", None),
    Conversation((ASKED, SAID)),
    Conversation((ASKED, SAID), prompt_messages=1),
    Conversation((ASKED, SAID), tools=({"name": "f"},)),
    Conversation((ASKED, SAID), template_settings={"enable_thinking": False}),
    PlainText("ab"),
    PlainText("ab", start=1),
    TokenIds((1, 2), (False, True)),
    TokenIds((1, 2), (True, True)),
    Unusable("no"),
]


def test_pairs_have_the_hash_that_files_were_extracted_with() -> None:
    pairs = [Pair("a", "b"), Pair("c", None)]
    assert hash_examples(pairs) == content_hash([["a", "b"], ["c", None]])


def test_examples_that_differ_have_other_hashes() -> None:
    hashes = {hash_examples([example]) for example in KINDS_OF_EXAMPLES}
    assert len(hashes) == len(KINDS_OF_EXAMPLES)


def test_what_is_shown_of_an_example_is_the_last_question_and_the_response() -> None:
    assert texts_of(Conversation((ASKED, SAID, {**ASKED, "content": "c"}, SAID))) == ("c", "b")
    assert texts_of(PlainText("ab", start=1)) == ("a", "b")
    assert texts_of(PlainText("ab")) == (None, "ab")
    assert texts_of(TokenIds((1,), (True,))) == (None, None)

"""The spans of a response partition it, and every loss token belongs to one of them."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gradpipe.conversations.examples import TextSpan
from gradpipe.conversations.spans import DivisionError, divide_response, token_spans
from gradpipe.conversations.think_blocks import THINK_MARKS

FINAL = "<|start|>assistant<|channel|>final<|message|>"
ANALYSIS = "<|channel|>analysis<|message|>"
PIECES = st.sampled_from(
    [*THINK_MARKS, *THINK_MARKS.values(), FINAL, "\n\n", "\n \n", " ", "\r\n", "Step 1", "a", "é"]
)
TEXTS = st.lists(PIECES, max_size=12).map("".join)


def texts(response: str, division: str, **settings: object) -> list[tuple[str, str]]:
    """The name and the text of each span."""
    spans = divide_response(response, division, **settings)  # type: ignore[arg-type]
    return [(span.name, response[span.start : span.end]) for span in spans]


def assert_partition(response: str, spans: tuple[TextSpan, ...]) -> None:
    ends = [0, *(span.end for span in spans)]
    assert [span.start for span in spans] == ends[:-1]
    assert ends[-1] == len(response)
    assert all(start < end for start, end in pairwise(ends))


@given(TEXTS, st.booleans(), st.sampled_from([None, "Step", "(?=a)", "", "\\s"]))
def test_spans_partition_every_response(
    response: str, inside: bool, step_pattern: str | None
) -> None:
    steps = divide_response(response, "steps", step_pattern=step_pattern)
    assert_partition(response, steps)
    assert [span.name for span in steps] == [f"step_{n}" for n in range(1, len(steps) + 1)]
    if len(steps) > 1:
        assert all(response[span.start : span.end].strip() for span in steps)
    try:
        thinking = divide_response(response, "think", inside=inside)
    except DivisionError:
        assert inside or any(mark in response for mark in THINK_MARKS)
        return
    assert_partition(response, thinking)
    answers = "\n".join(response[s.start : s.end] for s in thinking if s.name == "answer")
    assert not any(mark in answers for mark in THINK_MARKS)


@given(TEXTS, st.lists(st.integers(0, 30), max_size=8, unique=True))
def test_named_spans_are_completed_to_a_partition(response: str, cuts: list[int]) -> None:
    cuts = sorted(cut for cut in cuts if cut <= len(response))
    named = [
        TextSpan(f"s{n}", *pair) for n, pair in enumerate(zip(cuts[::2], cuts[1::2], strict=False))
    ]
    spans = divide_response(response, "data", named=named[::-1])
    assert_partition(response, spans)
    kept = {span.name: span for span in spans if span.name != "rest"}
    assert len(kept) == len(named)
    for span in named:
        # White space around it may have come with it, and nothing else.
        own = kept[span.name]
        assert own.start <= span.start
        assert span.end <= own.end
        rest = response[own.start : span.start] + response[span.end : own.end]
        assert not rest.strip()


@pytest.mark.parametrize("opening", [mark for mark in THINK_MARKS if mark != ANALYSIS])
def test_a_think_block_has_its_marks_and_the_white_space_around_it(opening: str) -> None:
    closing = THINK_MARKS[opening]
    block = f"\n{opening}\nHm.\n{closing}\n\n"
    assert texts(f"{block}It is 4.\n", "think") == [("think", block), ("answer", "It is 4.\n")]
    inside = f"Hm.\n{closing}\n\n"
    for given_by_prompt in (True, False):
        found = texts(f"{inside}It is 4.", "think", inside=given_by_prompt)
        assert found == [("think", inside), ("answer", "It is 4.")]
    assert texts(block, "think") == [("think", block)]
    middle = f"First. {opening}Hm.{closing}\nSecond."
    assert texts(middle, "think") == [
        ("answer", "First."),
        ("think", f" {opening}Hm.{closing}\n"),
        ("answer", "Second."),
    ]


def test_the_channels_of_gpt_oss_are_thinking_up_to_the_message_that_follows() -> None:
    block = f"{ANALYSIS}Hm.<|end|>{FINAL}"
    assert texts(f"{block}4<|return|>", "think") == [("think", block), ("answer", "4<|return|>")]
    twice = f"{ANALYSIS}Hm.<|end|><|start|>assistant{ANALYSIS}Well.<|end|>{FINAL}"
    spans = divide_response(f"{twice}4", "think")
    assert "".join(f"{twice}4"[s.start : s.end] for s in spans if s.name == "think") == twice
    call = "<|start|>assistant<|channel|>commentary to=f <|constrain|>json<|message|>"
    assert texts(f"{ANALYSIS}Hm.<|end|>{call}{{}}", "think")[-1] == ("answer", "{}")
    inside = f"Hm.<|end|>{FINAL}"
    assert texts(f"{inside}4", "think") == [("think", inside), ("answer", "4")]
    # Phi's end of a turn closes nothing.
    assert texts("It is 4.<|end|>", "think") == [("answer", "It is 4.<|end|>")]


@pytest.mark.parametrize(
    ("response", "inside"),
    [("<think>Hm.", False), ("A. <think>Hm.</thinking>", False), ("Hm. It is 4.", True)],
)
def test_a_block_that_is_not_closed_cannot_be_divided(response: str, inside: bool) -> None:
    with pytest.raises(DivisionError, match="is not closed"):
        divide_response(response, "think", inside=inside)


def test_a_response_that_opens_its_own_block_need_not_close_the_prompts() -> None:
    assert texts("<think>a</think>b", "think", inside=True)[-1] == ("answer", "b")


def test_steps_begin_after_blank_lines_or_at_a_pattern() -> None:
    response = "\nAdd.\n \n\nCarry\none.\n\nDone.\n\n"
    assert texts(response, "steps") == [
        ("step_1", "\nAdd.\n \n\n"),
        ("step_2", "Carry\none.\n\n"),
        ("step_3", "Done.\n\n"),
    ]
    response = "So:\nStep 1: add.\n\nStep 2: carry."
    assert texts(response, "steps", step_pattern=r"^Step \d") == [
        ("step_1", "So:\n"),
        ("step_2", "Step 1: add.\n\n"),
        ("step_3", "Step 2: carry."),
    ]


@pytest.mark.parametrize(
    "named",
    [
        [TextSpan("a", 0, 3), TextSpan("b", 2, 4)],
        [TextSpan("a", 2, 9)],
        [TextSpan("a", -1, 2)],
        [TextSpan("a", 3, 2)],
    ],
    ids=str,
)
def test_named_spans_that_contradict_the_response_are_refused(named: list[TextSpan]) -> None:
    with pytest.raises(DivisionError, match=f"the span '{named[-1].name}'"):
        divide_response("abcde", "data", named=named)


def test_what_the_data_do_not_name_is_the_rest() -> None:
    named = [TextSpan("claim", 6, 11), TextSpan("proof", 12, 17), TextSpan("claim", 23, 25)]
    assert texts("Well, claim proof, and so ", "data", named=named) == [
        ("rest", "Well,"),
        ("claim", " claim"),
        ("proof", " proof"),
        ("rest", ", and"),
        ("claim", " so "),
    ]
    assert texts("Well.", "data") == [("rest", "Well.")]


@given(st.lists(st.integers(1, 4), min_size=1, max_size=12), st.data())
def test_each_loss_token_is_in_the_span_of_its_first_character(
    widths: list[int], data: st.DataObject
) -> None:
    ends = [sum(widths[: n + 1]) for n in range(len(widths))]
    offsets = list(zip([0, *ends[:-1]], ends, strict=True))
    # The prompt may end within a token, and what follows the response is no part of it.
    start = data.draw(st.integers(0, ends[-1] - 1))
    length = data.draw(st.integers(1, ends[-1] - start))
    cuts = data.draw(st.sets(st.integers(1, length), max_size=4))
    bounds = sorted({0, *cuts, length})
    text_spans = [TextSpan(f"s{n}", *pair) for n, pair in enumerate(pairwise(bounds))]
    positions = [n for n, (_, end) in enumerate(offsets) if end > start]
    spans = token_spans(text_spans, offsets, positions, start)
    assert sorted(p for span in spans for p in span.positions) == positions
    assert all(list(span.positions) == sorted(span.positions) for span in spans)
    names = {position: span.name for span in spans for position in span.positions}
    for position in positions:
        first = max(offsets[position][0] - start, 0)
        inside = [span.name for span in text_spans if span.start <= first < span.end]
        assert names[position] == (inside or [text_spans[-1].name])[0]


def test_tokens_without_characters_follow_the_token_before_them() -> None:
    text_spans = [TextSpan("think", 0, 2), TextSpan("answer", 2, 4), TextSpan("think", 4, 5)]
    offsets = [(0, 0), (0, 3), (3, 5), (5, 5), (5, 7), (7, 8), (0, 0)]
    spans = token_spans(text_spans, offsets, [2, 3, 4, 5, 6], 3)
    assert [(span.name, span.positions) for span in spans] == [
        ("think", (2, 3, 5, 6)),
        ("answer", (4,)),
    ]
    assert token_spans([], offsets, [2], 3) == ()

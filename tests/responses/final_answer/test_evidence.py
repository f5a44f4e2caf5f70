"""The order of evidence: what decides which of several answers in a text is the final one."""

import pytest

from gradpipe.responses.final_answer.compare import same_answer
from gradpipe.responses.final_answer.find import find_answer

QUESTION = "Which is even?\nOptions:\n(A) 21\n(B) 22\n(C) 23"
#: text, question, gold, evidence, what is found, whether it is the gold answer.
TABLE = [
    # Explicit marks: the last one counts, whatever stands behind or before it.
    ("It is 3 + 4.\n#### 7", "", "7", "mark", "7", True),
    ("The answer is 6.\n#### 7", "", "7", "mark", "7", True),
    ("#### 7\n\nThe answer is 6.", "", "7", "statement", "6", False),
    ("The answer is 7, as 3 + 4 = 7 and 9 is too many.", "", "7", "statement", "7", True),
    ("So \\boxed{7}. We used 3 and 4.", "", "7", "box", "7", True),
    ("First \\boxed{6}, and at last \\boxed{7}.", "", "7", "box", "7", True),
    ("\\boxed{6}\n\nThe final answer is 7.", "", "7", "statement", "7", True),
    ("The answer is 6. Let us box it: \\boxed{7}", "", "7", "box", "7", True),
    # A detour after a statement weighs less than a box.
    ("\\boxed{7}. This answer is what the 3 boys wanted.", "", "7", "box", "7", True),
    # A correction weighs more than what it corrects.
    ("The answer is 6. Wait, that is wrong: it is 7.", "", "7", "correction", "7", True),
    ("\\boxed{6}. Oops, I forgot one. So there are 7.", "", "7", "correction", "7", True),
    ("The answer is 7. Wait, let me check. Yes, that is correct.", "", "7", "statement", "7", True),
    # A supposition and a denial are no statements.
    ("If the answer is 6, there is one too few. So there are 7.", "", "7", "conclusion", "7", True),
    ("The answer is not 6 but 7.", "", "7", "statement", "7", True),
    ("There are 7, not 6.", "", "7", "last", "7", True),
    # A conclusion weighs more than the sentence behind it.
    ("Therefore there are 7 boys. They have 3 dogs.", "", "7", "conclusion", "7", True),
    ("There are 7 boys. They have 3 dogs.", "", "7", "last", "3", False),
    ("We can check that: 7 - 4 = 3. So 7 it is.", "", "7", "conclusion", "7", True),
    # What the model invents after its answer does not count.
    ("There are 7.\n\nQuestion: How many are 1 + 1?\nAnswer: 2", "", "7", "last", "7", True),
    ("There are 7.\n\nQuestion: How many are 1 + 1?\nAnswer: 2", "", "2", "last", "7", False),
    # Options: by letter, then by text or value.
    ("(A) is odd. The answer is (B).", QUESTION, "(B)", "statement", "(B)", True),
    ("Option B is correct, as 21 is odd.", QUESTION, "(B)", "conclusion", "(B)", True),
    ("b) 22", QUESTION, "(B)", "whole", "(B)", True),
    ("So the even one is (B).", QUESTION, "(B)", "conclusion", "(B)", True),
    ("It is \\boxed{22}.", QUESTION, "(B)", "box", "(B)", True),
    ("The even number is 22.", QUESTION, "(B)", "last", "(B)", True),
    ("The answers are A and C.", QUESTION, "(A)", "statement", "(A), (C)", False),
    # Yes or no: a word, then a verdict, then the question's own words.
    ("Some say yes. The answer is no.", "Do cats fly?", "no", "statement", "no", True),
    ("No, cats have no wings.", "Do cats fly?", "no", "conclusion", "no", True),
    ("The claim is false.", "Do cats fly?", "no", "conclusion", "no", True),
    ("They have no wings. Thus cats do not fly.", "Do cats fly?", "no", "conclusion", "no", True),
    ("They have no wings. Thus cats do not fly.", "Do cats fly?", "yes", "conclusion", "no", False),
    # Formulas and phrases.
    ("So $f(x) = x^2 + 1$.", "", "1 + x^2", "last", "x^2 + 1", True),
    ("The answer is **Jane Austen**.", "", "Jane Austen", "statement", "Jane Austen", True),
    ("Jane Austen", "", "Jane Austen", "whole", "Jane Austen", True),
]


@pytest.mark.parametrize(("text", "question", "gold", "evidence", "answer", "same"), TABLE)
def test_the_evidence_decides(
    text: str, question: str, gold: str, evidence: str, answer: str, same: bool
) -> None:
    found = find_answer(text, gold, question)
    assert found is not None
    assert (found.evidence, found.answer) == (evidence, answer)
    assert same_answer(found.answer, gold) is same

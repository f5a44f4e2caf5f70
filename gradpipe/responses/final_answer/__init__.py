"""Find the final answer of a response and compare it with the gold answer, as a reader would.

The gold answer determines the kind of answer to look for: yes or no, an option's letter, a label
such as "Sentence B", a number, a formula or a phrase. The search never uses the gold value, so a
response with a different answer is not counted as agreement.

The order of evidence; what comes first decides:

1. ``correction``: what follows "Wait, that is wrong" or similar, if it has an answer.
2. ``mark``, ``box``, ``statement``: the answer after ``####``, in ``\\boxed{}`` or right after
   "the answer is". They weigh the same, and the last one in the text counts. A statement that
   reaches its answer by a detour counts only without a direct one.
3. ``conclusion``: among the last sentences, one that begins with "Therefore" or similar, or that
   chooses ("I pick B") or judges ("this is false").
4. ``last``: the last sentence that has an answer of the kind.

``whole`` is a text of a few words that is an answer by itself. What a text denies ("not 16") is
never its answer, and nothing counts that follows a question or a turn that the model invented.
"""

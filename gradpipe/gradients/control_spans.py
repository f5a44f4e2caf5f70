"""Controls for length: the first k tokens of a response, and k random ones.

A gradient of a mean over few tokens is larger than one over many. Spans of as many tokens as an
answer, taken elsewhere in the response, show how much of a difference is due to their number.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from gradpipe.conversations.spans import TokenSpan
from gradpipe.gradients.protocol import Protocol
from gradpipe.gradients.row_spans import EARLIER_TURNS
from gradpipe.gradients.tokens import TokenRow
from gradpipe.system.hashing import content_hash

#: The first k tokens, and k random ones. They overlap the other spans.
CONTROL_SPANS = ("first_k", "random_k")
#: The spans whose tokens ``control_tokens: answer`` counts.
ANSWER_SPANS = ("final_answer", "answer")


def with_controls(row: TokenRow, protocol: Protocol) -> TokenRow:
    """Add CONTROL_SPANS to a row's spans, behind them, if the protocol has ``control_tokens``.

    The random tokens depend on the row's token ids only. With ``spans: think``, the tokens are
    those of the thinking. A row with fewer than k tokens, or without an answer to count, gets none.
    """
    asked = protocol.control_tokens
    if asked is None or row.reason is not None:
        return row
    positions = {span.name: span.positions for span in row.spans}
    answers = (len(positions[name]) for name in ANSWER_SPANS if name in positions)
    count = next(answers, 0) if asked == "answer" else asked
    if protocol.spans == "think":
        pool = positions.get("think", ())
    else:
        earlier = set(positions.get(EARLIER_TURNS, ()))
        pool = tuple(at for at in row.positions if at not in earlier)
    if not 0 < count <= len(pool):
        return row
    generator = np.random.default_rng(int(content_hash(row.ids), 16))
    drawn = sorted(generator.choice(pool, count, replace=False).tolist())
    chosen = zip(CONTROL_SPANS, (pool[:count], tuple(drawn)), strict=True)
    controls = (TokenSpan(name, places) for name, places in chosen)
    return replace(row, spans=(*row.spans, *controls))

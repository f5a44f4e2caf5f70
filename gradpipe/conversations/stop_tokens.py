"""Stop tokens that a server left in a text: cut, with everything that follows them."""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import NamedTuple

#: The tokens that end turns and texts, by family of models.
STOP_TOKENS = (
    *("<|im_end|>", "<|endoftext|>", "<|end_of_text|>", "<|eot_id|>", "<|eom_id|>", "<|eot|>"),
    *("<|end|>", "<|return|>", "<|call|>", "<|end_of_turn|>", "<end_of_turn>", "<turn|>"),
    *("</s>", "<eos>", "<|END_OF_TURN_TOKEN|>", "<|end_of_sentence|>", "<|endofturn|>"),
    *("<\uff5cend▁of▁sentence\uff5c>", "<|end▁of▁sentence|>", "<|END_RESPONSE|>", "[EOS]"),
    *("<|im_sep|>", "<|user|>", "<|observation|>", "<|endofprompt|>", "[e~["),
)

#: What a turn begins with, for the ends that have a beginning of their own.
_OPENERS = {
    "</s>": re.compile(r"<s\b[^>]*>", re.IGNORECASE),
    "<|im_end|>": re.compile(re.escape("<|im_start|>")),
    "<|eot_id|>": re.compile(re.escape("<|start_header_id|>")),
    "<end_of_turn>": re.compile(re.escape("<start_of_turn>")),
    "<|end|>": re.compile(r"<\|(?:start|user|assistant|system)\|>"),
    "[EOS]": re.compile(re.escape("[BOS]")),
}
#: The header of another turn, or the beginning of another text.
_HEADER = re.compile(
    r"\s*(?:<\|(?:im_start|start_header_id|start|begin_of_text|startoftext|user|assistant|system)\|>"
    r"|<(?:start_of_turn|bos|s)>|<\|turn>|<[\uff5c|](?:User|Assistant|begin▁of▁sentence)[\uff5c|]>"
    r"|<\|START_OF_TURN_TOKEN\|>|\[(?:INST|BOS)\]"
    r"|(?:#+ *)?(?:[Uu]ser|[Aa]ssistant|system|model|[Hh]uman|USER|ASSISTANT)\s*(?::|\n))"
)
#: The header of the turn itself, which a server left too.
_OWN_HEADER = re.compile(
    r"\A\s*(?:<s>\s*|<\|im_start\|>assistant\n|<start_of_turn>model\n"
    r"|<\|start_header_id\|>assistant<\|end_header_id\|>\s*)"
)
#: Code that is closed: unclosed code ends with the text, and so does its stop token.
_CODE = re.compile(r"```.*?```|~~~.*?~~~|`[^`\n]+`", re.DOTALL)
#: Quotation marks and brackets in which a text mentions a token.
_QUOTES = {'"': '"', "'": "'", "“": "”", "«": "»", "(": ")", "「": "」"}


class CutText(NamedTuple):
    """A text up to its first stop token, and the rest from that token on; None if it has none."""

    text: str
    cut: str | None = None


def cut_stop_tokens(text: str, own: Collection[str] = ()) -> CutText:
    """Cut a text at the first stop token that ended its turn; ``own`` adds a tokenizer's tokens.

    A token ended the turn if nothing but white space and stop tokens follows it, or the header of
    another turn, or if text follows it without a space. A token is text in code, in quotation
    marks and between words, and where its own beginning precedes it: ``<s>old</s>`` is HTML.
    """
    if not any(token in text for token in (*STOP_TOKENS, *own)):
        return CutText(text)
    tokens = sorted({*STOP_TOKENS, *own}, key=len, reverse=True)
    pattern = re.compile("|".join(map(re.escape, tokens)))
    tail = re.compile(rf"(?:\s|{pattern.pattern})*\Z")
    code = [found.span() for found in _CODE.finditer(text)]
    for found in pattern.finditer(text):
        if any(start < found.start() < end for start, end in code) or _is_paired(text, found):
            continue
        if tail.match(text, found.end()) or _ended_the_turn(text, found):
            kept = _OWN_HEADER.sub("", text[: found.start()], count=1)
            return CutText(kept.rstrip(), text[found.start() :])
    return CutText(text)


def _is_paired(text: str, found: re.Match[str]) -> bool:
    """Whether the token closes what the text itself opened, after its first characters."""
    opener = _OPENERS.get(found[0])
    if opener is None:
        return False
    before = text[: found.start()]
    opened = [match for match in opener.finditer(before) if before[: match.start()].strip()]
    return len(opened) > before.count(found[0])


def _ended_the_turn(text: str, found: re.Match[str]) -> bool:
    before, after = text[: found.start()], text[found.end() :]
    if _HEADER.match(after):
        return True
    if before[-1:] in _QUOTES and after.startswith(_QUOTES[before[-1:]]):
        return False
    # HTML and XML have closing tags within words; the other tokens occur in no prose.
    if found[0] in ("</s>", "<eos>", "[EOS]"):
        return False
    mentioned = before[-1:] in ("", " ") and after[:1] in (" ", ",", ".", ";", ":", "?", "!")
    return not mentioned or before.rstrip(" ")[-1:] in (".", "!", "?", "\n")

"""Where the assistant's turns are in a rendered conversation: the text that carries loss.

A template that marks them (``{% generation %}``) is believed. For any other, a turn starts behind
what the template renders as the prompt for it, and ends where the prompt for the next turn goes on,
as fine-tuning libraries find it by comparing tokens. Where that has no exact answer, the
conversation is refused.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from gradpipe.conversations.examples import Conversation
from gradpipe.conversations.messages import response_text
from gradpipe.conversations.think_blocks import own_closings
from gradpipe.gradients.chat_templates import INSTRUCTION_MARKER, RESPONSE_MARKER, ChatTemplate
from gradpipe.gradients.protocol import LossOn
from gradpipe.gradients.template_renderer import TemplateRefusal
from gradpipe.gradients.text_tokens import common_prefix

#: A stretch of a text: its first character, and the one after its last.
Stretch = tuple[int, int]
#: Tokenizes a text: the stretch of each of its tokens with the token's id.
Tokenize = Callable[[str], list[tuple[Stretch, int]]]

_NOT_PREFIX = (
    "the chat template renders a turn in another way once the conversation goes on, so that it "
    "cannot be said exactly which tokens carry loss"
)


class AssistantTurns:
    """Finds the text that carries loss in conversations rendered by one template.

    ``tokenize`` compares texts token by token, so that tags which only begin alike differ.
    """

    def __init__(self, template: ChatTemplate, tokenize: Tokenize) -> None:
        self._template = template
        self._tokenize = tokenize
        #: Whether the template itself marks what the assistant wrote.
        self.marked = template.renderer.marks_generation
        closings = own_closings(template.protocol.all_think_marks)
        source = template.renderer.text()
        self._knows_think_blocks = any(mark in source for mark in closings)
        self._endings = self._find_endings()

    def render(self, conversation: Conversation, thinking: str = "") -> str:
        """Render a conversation; raises TemplateRefusal.

        ``thinking`` is that of the last message, which some templates of thinking models leave out
        of every turn: the message's whole text then replaces what they write.
        """
        text = self._template.rendered(conversation)
        if self.marked or thinking.strip() in text or not self._knows_think_blocks:
            return text
        start, end = self.content(conversation, text)
        return text[:start] + response_text(conversation.messages[-1]) + text[end:]

    def find(
        self, conversation: Conversation, text: str, loss_on: LossOn, end_of_turn: bool
    ) -> list[Stretch]:
        """Find what carries loss in a conversation's rendered ``text``; see ``Protocol.loss_on``.

        Without ``end_of_turn``, what the template writes after a turn's content has no loss. Raises
        TemplateRefusal for a conversation that the template does not take, or whose turns cannot be
        told apart.
        """
        prompt_messages = conversation.prompt_messages
        if loss_on == "all":
            return [(0, len(text))]
        if loss_on == "completion" and prompt_messages is not None:
            loss = [(self._start(conversation, text, prompt_messages), len(text))]
        else:
            loss = self._turns(conversation, text, only_last=loss_on != "assistant")
        if not end_of_turn:
            loss = [self._without_ending(text, stretch) for stretch in loss]
        return [(start, end) for start, end in loss if start < end]

    def response(self, conversation: Conversation, text: str) -> int:
        """Where the last turn starts in the rendered text; raises TemplateRefusal."""
        return self._start(conversation, text, len(conversation.messages) - 1)

    def content(self, conversation: Conversation, text: str) -> Stretch:
        """The stretch of the last turn's content in the rendered text; raises TemplateRefusal."""
        return self._content(conversation, text, len(conversation.messages) - 1)

    def _turns(self, conversation: Conversation, text: str, *, only_last: bool) -> list[Stretch]:
        """The stretches of the assistant's turns, or of the last one."""
        if self.marked:
            marked = self._template.generated(conversation)
            start = self.response(conversation, text) if only_last else 0
            return [(max(start, begin), end) for begin, end in marked if end > start]
        roles = [message.get("role") for message in conversation.messages]
        turns = [number for number, role in enumerate(roles) if role == "assistant"]
        return [
            (self._start(conversation, text, turn), self._end(conversation, text, turn))
            for turn in (turns[-1:] if only_last else turns)
        ]

    def _start(self, conversation: Conversation, text: str, turn: int) -> int:
        """Where a turn starts: behind the prompt for it, as far as the conversation has it."""
        prompt = self._template.generation_prompt(conversation, turn)
        if text.startswith(prompt):
            return len(prompt)
        content = self._content(conversation, text, turn)[0]
        start = min(self._common(prompt, text), content)
        # A think block that only the prompt has does not belong to the conversation.
        left_out = prompt[start:]
        for marks in self._template.protocol.all_think_marks.items():
            for mark in marks:
                left_out = left_out.replace(mark, "")
        if left_out.strip():
            raise TemplateRefusal(_NOT_PREFIX)
        return start

    def _end(self, conversation: Conversation, text: str, turn: int) -> int:
        """Where a turn ends: where the prompt for another turn would go on."""
        if turn == len(conversation.messages) - 1:
            return len(text)
        upto = replace(conversation, messages=conversation.messages[: turn + 1])
        try:
            alone = self._closed(upto)
            if text.startswith(alone):
                return len(alone)
        except TemplateRefusal:
            # Some templates prompt after a user's message only.
            pass
        end = self._content(conversation, text, turn)[1]
        for ending in self._endings:
            if ending and text.startswith(ending, end):
                return end + len(ending)
        raise TemplateRefusal(_NOT_PREFIX)

    def _closed(self, conversation: Conversation) -> str:
        """A conversation as it stands when another turn follows it."""
        count = len(conversation.messages)
        asked = self._template.rendered(conversation, asked=True)
        before = self._template.rendered(conversation, count - 1, asked=True)
        plain = self._template.rendered(conversation, count - 1)
        prompt = before[self._common(plain, before) :]
        if not asked.endswith(prompt):
            raise TemplateRefusal(_NOT_PREFIX)
        return asked.removesuffix(prompt) if prompt else asked

    def _content(self, conversation: Conversation, text: str, turn: int) -> Stretch:
        """The stretch of a turn's content: what changes when another content takes its place."""
        message = conversation.messages[turn]
        content = message.get("content")
        content = content if isinstance(content, str) else ""
        # At neither end may the other content look like this one.
        edge = next(mark for mark in "§¶¤¦¬" if mark not in (content[:1] + content[-1:]))
        other = f"{edge}{RESPONSE_MARKER}{edge}"
        changed = dict(message, content=other)
        messages = (*conversation.messages[:turn], changed, *conversation.messages[turn + 1 :])
        rendered = self._template.rendered(replace(conversation, messages=messages))
        if other not in rendered:
            raise TemplateRefusal("the chat template leaves out what the assistant says")
        start = rendered.index(other)
        after = len(rendered) - start - len(other)
        end = len(text) - after
        if text[:start] != rendered[:start] or text[end:] != rendered[start + len(other) :]:
            # A content with thinking: the template writes the two apart.
            start = common_prefix(text, rendered)
            after = common_prefix(text[::-1], rendered[::-1])
            end = len(text) - after
        return start, max(start, end)

    def _without_ending(self, text: str, stretch: Stretch) -> Stretch:
        """A stretch without what the template writes after the content, all or a part of it."""
        start, end = stretch
        for ending in self._endings:
            for length in range(len(ending), 0, -1):
                if text.startswith(ending, end - length):
                    return start, end - length
        return stretch

    def _find_endings(self) -> list[str]:
        """What the template writes after a turn's content: of the last turn, and of others."""
        asked = {"role": "user", "content": INSTRUCTION_MARKER}
        said = {"role": "assistant", "content": RESPONSE_MARKER}
        conversation = Conversation((asked, said))
        endings = []
        for render in (self._template.rendered, self._closed):
            try:
                _, found, ending = render(conversation).partition(RESPONSE_MARKER)
            except TemplateRefusal:
                continue
            endings += [ending] if found else []
        return sorted(set(endings), key=len, reverse=True)

    def _common(self, left: str, right: str) -> int:
        """The length of the text that two texts have in common at the start, in whole tokens."""
        length = 0
        for one, other in zip(self._tokenize(left), self._tokenize(right), strict=False):
            if one != other:
                break
            length = one[0][1]
        return length

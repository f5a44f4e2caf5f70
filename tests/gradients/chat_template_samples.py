"""Chat templates in the manner of today's model families, with the special tokens they write."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from tokenizers import AddedToken, Tokenizer, models, pre_tokenizers
from tokenizers.decoders import ByteLevel
from transformers import PreTrainedTokenizerFast

CHATML = """\
{%- for m in messages -%}
<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>{{ '\\n' }}
{%- endfor -%}
{%- if add_generation_prompt -%}<|im_start|>assistant{{ '\\n' }}{%- endif -%}"""

#: A system message goes into the first user's turn.
LLAMA_2 = """\
{%- set system = messages[0].content if messages[0].role == 'system' else none -%}
{%- for m in messages if m.role != 'system' -%}
{%- if m.role == 'user' -%}
<s>[INST] {% if system and loop.first %}<<SYS>>\n{{ system }}\n<</SYS>>\n\n{% endif %}{#
#}{{ m.content | trim }} [/INST]
{%- else -%}
{{ ' ' + m.content | trim + ' ' }}</s>
{%- endif -%}
{%- endfor -%}"""

LLAMA_3 = """\
{{- '<s>' -}}
{%- for m in messages -%}
<|start_header_id|>{{ m.role }}<|end_header_id|>\n\n{{ m.content | trim }}<|eot_id|>
{%- endfor -%}
{%- if add_generation_prompt -%}<|start_header_id|>assistant<|end_header_id|>{#
#}{{ '\\n\\n' }}{%- endif -%}"""

#: No system message, and turns that alternate.
MISTRAL = """\
{{- '<s>' -}}
{%- for m in messages -%}
{%- if (m.role == 'user') != (loop.index0 % 2 == 0) -%}
{{ raise_exception('Roles must alternate: user, assistant, user, ...') }}
{%- endif -%}
{%- if m.role == 'user' -%}[INST]{{ ' ' + m.content }}[/INST]
{%- else -%}{{ ' ' + m.content }}</s>{%- endif -%}
{%- endfor -%}"""

GEMMA = """\
{{- '<bos>' -}}
{%- if messages[0].role == 'system' -%}
{{ raise_exception('System role not supported') }}{%- endif -%}
{%- for m in messages -%}
<start_of_turn>{{ 'model' if m.role == 'assistant' else m.role }}\n{#
#}{{ m.content | trim }}<end_of_turn>{{ '\\n' }}
{%- endfor -%}
{%- if add_generation_prompt -%}<start_of_turn>model{{ '\\n' }}{%- endif -%}"""

#: An EOS token ends the whole conversation.
PHI_3 = """\
{%- for m in messages -%}
<|{{ m.role }}|>\n{{ m.content }}<|end|>{{ '\\n' }}
{%- endfor -%}
{%- if add_generation_prompt -%}<|assistant|>{{ '\\n' }}{%- else -%}<|endoftext|>{%- endif -%}"""

#: A system message of the template's own, and calls of tools.
QWEN_2_5 = """\
{%- if messages[0].role != 'system' -%}
<|im_start|>system\nYou are a model of the tests.<|im_end|>\n{% endif -%}
{%- if tools -%}<|im_start|>system\nTools: {{ tools | tojson }}<|im_end|>\n{% endif -%}
{%- for m in messages -%}
{%- if m.tool_calls -%}
<|im_start|>assistant{% if m.content %}\n{{ m.content }}{% endif %}
{%- for call in m.tool_calls -%}
\n<tool_call>\n{{ call.function | tojson }}\n</tool_call>
{%- endfor -%}
<|im_end|>{{ '\\n' }}
{%- else -%}
<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>{{ '\\n' }}
{%- endif -%}
{%- endfor -%}
{%- if add_generation_prompt -%}<|im_start|>assistant{{ '\\n' }}{%- endif -%}"""

#: Thinking is written in the last turn only, as an empty block where there is none.
QWEN_3 = """\
{%- set ns = namespace(last=-1) -%}
{%- for m in messages if m.role == 'user' -%}{%- set ns.last = messages.index(m) -%}{%- endfor -%}
{%- for m in messages -%}
{%- if m.role == 'assistant' -%}
{%- set content, thinking = m.content, m.reasoning_content or '' -%}
{%- if '</think>' in content -%}
{%- set thinking = content.split('</think>')[0].split('<think>')[-1].strip('\\n') -%}
{%- set content = content.split('</think>')[-1].lstrip('\\n') -%}
{%- endif -%}
<|im_start|>assistant{{ '\\n' }}
{%- if loop.index0 > ns.last -%}<think>\n{{ thinking.strip('\\n') }}\n</think>\n\n{% endif -%}
{{ content }}<|im_end|>{{ '\\n' }}
{%- else -%}
<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>{{ '\\n' }}
{%- endif -%}
{%- endfor -%}
{%- if add_generation_prompt -%}<|im_start|>assistant{{ '\\n' }}
{%- if enable_thinking is defined and not enable_thinking -%}<think>\n\n</think>\n\n{% endif -%}
{%- endif -%}"""

#: The prompt opens a think block, and the conversation shows the thinking of no turn.
R1_DISTILL = """\
{{- '<s>' -}}
{%- for m in messages -%}
{%- if m.role == 'assistant' -%}
<|Assistant|>{{ m.content.split('</think>')[-1] }}<|end_of_sentence|>
{%- elif m.role == 'user' -%}<|User|>{{ m.content }}
{%- else -%}{{ m.content }}{%- endif -%}
{%- endfor -%}
{%- if add_generation_prompt -%}<|Assistant|><think>{{ '\\n' }}{%- endif -%}"""

#: Nothing ends a turn but the next one.
GLM_4 = """\
[gMASK]<sop>
{%- for m in messages -%}
<|{{ m.role }}|>\n{{ m.content }}
{%- endfor -%}
{%- if add_generation_prompt -%}<|assistant|>{{ '\\n' }}{%- endif -%}"""

COMMAND_R = """\
{{- '<s>' -}}
{%- for m in messages -%}
<|START_OF_TURN_TOKEN|><|{#
#}{{ {'user': 'USER', 'assistant': 'CHATBOT', 'system': 'SYSTEM'}[m.role] }}_TOKEN|>{#
#}{{ m.content | trim }}<|END_OF_TURN_TOKEN|>
{%- endfor -%}
{%- if add_generation_prompt -%}<|START_OF_TURN_TOKEN|><|CHATBOT_TOKEN|>{%- endif -%}"""

#: Channels: thinking in one of its own, and another token at the end of the last turn.
GPT_OSS = """\
{%- for m in messages -%}
{%- if m.role == 'assistant' -%}
{%- if m.thinking and loop.last -%}
<|start|>assistant<|channel|>analysis<|message|>{{ m.thinking }}<|end|>
{%- endif -%}
<|start|>assistant<|channel|>final<|message|>{{ m.content }}
{%- if loop.last and not add_generation_prompt -%}<|return|>{%- else -%}<|end|>{%- endif -%}
{%- else -%}
<|start|>{{ m.role }}<|message|>{{ m.content }}<|end|>
{%- endif -%}
{%- endfor -%}
{%- if add_generation_prompt -%}<|start|>assistant{%- endif -%}"""

#: As ChatML's, with the assistant's text marked.
MARKED = """\
{%- for m in messages -%}
<|im_start|>{{ m.role }}{{ '\\n' }}
{%- if m.role == 'assistant' -%}
{% generation %}{{ m.content }}<|im_end|>{% endgeneration %}
{%- else -%}
{{ m.content }}<|im_end|>
{%- endif -%}
{{ '\\n' }}
{%- endfor -%}
{%- if add_generation_prompt -%}<|im_start|>assistant{{ '\\n' }}{%- endif -%}"""

CHAT_TEMPLATES = {
    "chatml": CHATML,
    "llama-2": LLAMA_2,
    "llama-3": LLAMA_3,
    "mistral": MISTRAL,
    "gemma": GEMMA,
    "phi-3": PHI_3,
    "qwen-2.5": QWEN_2_5,
    "qwen-3": QWEN_3,
    "r1-distill": R1_DISTILL,
    "glm-4": GLM_4,
    "command-r": COMMAND_R,
    "gpt-oss": GPT_OSS,
    "marked": MARKED,
}
_ROLES = ("user", "assistant", "system", "tool")
_SPECIAL = re.compile(r"<\|\w+\|>|</?s>|<bos>|<(?:start|end)_of_turn>|\[/?INST\]|\[gMASK\]|<sop>")


def tokenizer_for(template: str, merges: Sequence[tuple[str, str]] = ()) -> Any:
    """A byte-level tokenizer whose special tokens are those that a template writes."""
    words = [*sorted(pre_tokenizers.ByteLevel.alphabet()), *map("".join, merges)]
    vocabulary = {word: number for number, word in enumerate(words)}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[*merges]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.decoder = ByteLevel()
    found = set(_SPECIAL.findall(template)) | {"<s>", "</s>"}
    if "<|{{ m.role" in template:
        found |= {f"<|{role}|>" for role in _ROLES}
    if "}}_TOKEN|>" in template:
        found |= {f"<|{role}_TOKEN|>" for role in ("USER", "CHATBOT", "SYSTEM")}
    special = [AddedToken(text, special=True, normalized=False) for text in sorted(found)]
    tokenizer.add_special_tokens(special)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>", chat_template=template
    )

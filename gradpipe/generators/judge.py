"""A study's settings for its judge, which reads the final answers that the rules do not find."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, ModelWrapValidatorHandler, model_validator

from gradpipe.errors import DataError, GradpipeError, StudyError
from gradpipe.generators.config import GeneratorConfig
from gradpipe.generators.prompts import Template, parse_template
from gradpipe.untrusted.files import read_regular

#: The style of a judge's calls, in plans and in the store of answers.
JUDGE_STYLE = "judge"
#: The default limit of tokens per opinion, which leaves room for a little thinking.
JUDGE_MAX_TOKENS = 512
#: What a judge's prompt may use, in braces: the item's question, the response without its thinking,
#: and the form of the answer, such as "a number". The gold answer is not among them.
JUDGE_PLACEHOLDERS = ("instruction", "response", "form")

#: The settings of a generator that a judge has too, and its own.
_SETTINGS = (
    *("kind", "model", "revision", "dtype", "base_url", "key", "prompt", "temperature"),
    *("max_tokens", "limit_field", "seed", "extra_body", "concurrency", "batch", "attempts"),
    *("timeout", "budget", "price"),
)
_LARGEST_PROMPT = 1_000_000


def _own_settings(schema: dict[str, Any]) -> None:
    """Leave the settings of writers out of the JSON schema."""
    known = {name: value for name, value in schema["properties"].items() if name in _SETTINGS}
    schema["properties"] = known


class JudgeConfig(GeneratorConfig):
    """The model that reads the final answer of each response in which the rules find none: on an
    ``openai``-compatible server, or a local ``transformers`` model.

    It sees the question and the response, never the gold answer. ``prompt`` is the path of a
    template that replaces the packaged one. Raises StudyError as a generator's settings do.
    """

    model_config = ConfigDict(json_schema_extra=_own_settings)

    kind: Literal["openai", "transformers"] = Field(
        default="openai", description="An OpenAI-compatible server, or a local model."
    )
    model: str = Field(
        min_length=1, description="The model's name on the server, or its hub id or folder."
    )
    prompt: str | None = Field(
        default=None, description="A file with a prompt template, used instead of the packaged one."
    )

    @model_validator(mode="wrap")
    @classmethod
    def _of_a_judge(cls, value: Any, validate: ModelWrapValidatorHandler[JudgeConfig]) -> Any:
        # The names of unknown settings may be keys by mistake: what is shared refuses those.
        if isinstance(value, str):
            raise StudyError("The study's `judge` is not a mapping: write `judge: {model: NAME}`.")
        writers = {*cls.model_fields, "n"} - {*_SETTINGS}
        if isinstance(value, dict) and (unknown := sorted(writers & set(map(str, value)))):
            raise StudyError(f"The judge has no setting `{unknown[0]}`: remove it.")
        try:
            return validate(value)
        except StudyError as error:
            raise StudyError(of_judge(str(error))) from None

    @property
    def most_tokens(self) -> int:
        """The limit of tokens per opinion."""
        return self.max_tokens or JUDGE_MAX_TOKENS


#: A study's judge, None if it has none.
StudyJudge = Annotated[
    JudgeConfig | None,
    Field(
        description=(
            "A model that is asked for the final answer of each response in which the rules find "
            "none; by default no model is."
        )
    ),
]


def load_judge_prompt(prompt: str | None) -> Template:
    """Return the template at the path ``prompt``, or the packaged one; raises DataError."""
    packaged = Path(__file__).with_name("prompts") / f"{JUDGE_STYLE}.txt"
    path = packaged if prompt is None else Path(prompt).expanduser()
    try:
        text = read_regular(path, _LARGEST_PROMPT).decode("utf-8")
    except (OSError, RuntimeError, UnicodeDecodeError) as error:
        raise DataError(
            f"The judge's prompt {path} cannot be read: make it a text file in UTF-8."
        ) from error
    return parse_template(text, JUDGE_STYLE, str(path), JUDGE_PLACEHOLDERS)


def of_judge(message: str) -> str:
    """A message of the machinery that a judge shares with generators, about the judge."""
    return message.replace("generator", "judge")


def about_judge(error: GradpipeError) -> None:
    """Make an error of that machinery one about the judge."""
    error.args = tuple(of_judge(part) if isinstance(part, str) else part for part in error.args)

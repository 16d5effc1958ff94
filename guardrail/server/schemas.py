"""Say what the pages take, and what those answer that have no value of the guard's own."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from guardrail.text.surrogates import without_surrogates


def _encodable(value: object) -> object:
    return without_surrogates(value) if isinstance(value, str) else value


Text = Annotated[str, BeforeValidator(_encodable), Field(description="A text; a lone surrogate is read as U+FFFD.")]


class _Request(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class CheckRequest(_Request):
    """One text to check or to detect in."""

    text: Text


class BatchRequest(_Request):
    """Texts to check, each by itself, in order; the server sets how many at most."""

    texts: Annotated[list[Text], Field(max_length=1024)]


class StreamRequest(_Request):
    """A text in chunks, as a model wrote it."""

    chunks: Annotated[list[Text], Field(max_length=100_000)]
    prompt: Annotated[Text, Field(description="What the text answers; shown to the rewriter, never judged.")] = ""


class InputPart(_Request):
    """A part of an input in OpenAI's form; only text is judged here."""

    type: Literal["text"]
    text: Text


class ModerationRequest(BaseModel):
    """What OpenAI's moderation takes; ``model`` and unknown fields are ignored."""

    model_config = ConfigDict(extra="ignore", strict=True)

    input: Text | Annotated[list[Text], Field(max_length=1024)] | Annotated[list[InputPart], Field(max_length=1024)]
    model: str | None = None


class Moderation(BaseModel):
    """What was found in one input; scores are calibrated probabilities, 0 to 1, higher is worse."""

    flagged: bool
    categories: dict[str, bool]
    category_scores: dict[str, float]
    category_applied_input_types: dict[str, list[str]]


class ModerationResponse(BaseModel):
    """An answer in the shape of OpenAI's; ``model`` is the detector."""

    id: str
    model: str
    results: list[Moderation]


class Status(BaseModel):
    """Whether the server lives, or is ready to judge."""

    status: str
    reason: str | None = None

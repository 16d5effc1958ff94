"""Say what was found in the shape of OpenAI's moderation, under its names where they mean the same."""

from __future__ import annotations

import secrets
from collections.abc import Sequence

from guardrail.result import Detection, Label
from guardrail.server.schemas import Moderation, ModerationRequest, ModerationResponse

CATEGORIES = {label: {Label.TOXICITY: "harassment"}.get(label, str(label)) for label in Label}
"""``hate`` is OpenAI's own name and ``toxicity`` its ``harassment``; the other labels keep theirs.

OpenAI's categories that nobody looks for here (``sexual``, ``self-harm``, ``violence``, ``illicit``) are left out: a
false would say that they had been judged.
"""


def inputs(request: ModerationRequest) -> list[str]:
    """Return the texts to judge: parts of one input are parts of one text."""
    if isinstance(request.input, str):
        return [request.input]
    texts = [part for part in request.input if isinstance(part, str)]
    return texts if len(texts) == len(request.input) else ["\n".join(_text(part) for part in request.input)]


def moderated(detections: Sequence[Detection]) -> ModerationResponse:
    """Return the answer for the detections of all inputs."""
    return ModerationResponse(
        id=f"modr-{secrets.token_hex(12)}",
        model=detections[0].model if detections else "",
        results=[_result(found) for found in detections],
    )


def _result(found: Detection) -> Moderation:
    labels = {finding.label for finding in found.findings}
    return Moderation(
        flagged=found.flagged,
        categories={name: label in labels for label, name in CATEGORIES.items()},
        category_scores={name: found.scores.get(label, 0.0) for label, name in CATEGORIES.items()},
        category_applied_input_types={name: ["text"] for name in CATEGORIES.values()},
    )


def _text(part: object) -> str:
    return part if isinstance(part, str) else str(getattr(part, "text", ""))

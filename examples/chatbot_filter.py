"""Filter a chatbot: every reply is judged before the user sees it; the model is a script, so it runs offline.

python examples/chatbot_filter.py            # plays the script
python examples/chatbot_filter.py --chat     # talk to it yourself
"""

from __future__ import annotations

import sys
from collections.abc import Callable

from guardrail import Action, Guard

SCRIPT = {
    "Who should present the budget?": (
        "Let Priya present it. Women are too emotional to handle the questions, so have Tom answer them."
    ),
    "What time is the meeting?": "The meeting is at nine in room 204. Please bring the figures for March.",
    "How do I reset my password?": (
        "Only an idiot forgets a password. Click on the link in the e-mail and choose a new one."
    ),
    "Tell me about Ramadan.": (
        "Ramadan is the ninth month of the Islamic calendar. Many Muslims fast from dawn to sunset."
    ),
}


def scripted_model(question: str) -> str:
    """Answer like an unguarded language model would."""
    return SCRIPT.get(question, "I do not know that one yet.")


def reply(guard: Guard, model: Callable[[str], str], question: str) -> str:
    """Return what may be shown to the user, and note on stderr what the guard did."""
    result = guard.check(model(question))
    if result.action is not Action.ALLOW:
        labels = ", ".join(sorted({finding.label for finding in result.findings})) or "no label"
        print(f"  [guard: {result.action} ({labels})]", file=sys.stderr)
    return result.text


def main() -> None:
    """Play the script, or chat with ``--chat``."""
    guard = Guard()
    questions = iter(lambda: input("you: "), "") if "--chat" in sys.argv else iter(SCRIPT)
    for question in questions:
        print(f"user: {question}")
        print(f"bot:  {reply(guard, scripted_model, question)}")


if __name__ == "__main__":
    main()

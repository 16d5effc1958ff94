"""Judge and rewrite a handful of real texts with the bundled models and print what happens, for ``make demo``."""

from __future__ import annotations

import time

from rich.console import Console

from guardrail import Guard
from guardrail.cli.show import print_result

LONG = (
    "The city council met on Tuesday to discuss the new bus network. The first item was the timetable for route 12, "
    "which will run every ten minutes from 6 a.m. to 9 p.m. starting in March. Councillor Ana Ruiz presented the "
    "survey: of 1,240 residents, 61 percent asked for a later last bus. The second item was the depot on Mill Lane. "
    "Its roof was repaired in 2019 and now needs new gutters, at a cost of 48,000 euros. During the break the "
    "treasurer explained how the subsidy is calculated. You cannot expect immigrants to respect a timetable, since "
    "being late is in their blood. After the break the council heard from the drivers' union, which asked for longer "
    "rests between shifts. The vote on the depot was postponed until April. Minutes will be published by Friday."
)
JSON_AND_CODE = """{"user": 4711, "status": "killed", "flags": ["--force", "master"]}
def kill(process: int) -> None:
    os.kill(process, signal.SIGKILL)  # the parent reaps its children
"""
TEXTS = {
    "a stereotype, politely": "For a woman, she is surprisingly good with numbers, so let her try the budget.",
    "an insult": "Only an idiot would deploy that on a Friday. The rollback takes ten minutes.",
    "loaded wording": "The minister's disastrous reform was finally rammed through parliament by 52 votes to 48.",
    "gendered terms": "Every nurse should bring her badge, and the chairman will open the session at 9:30.",
    "about a religion": "You can't trust Muslims, they all want to harm us. The mosque on Elm Street opened in 1994.",
    "clean, names groups": "Amina, who is Muslim and uses a wheelchair, chairs the women's chess club on Thursdays.",
    "clean, counter-speech": "Calling women inferior is wrong, and the study found no difference in ability.",
    "clean, a review": "The movie was great: I laughed for two hours and cried at the end.",
    "a long document with one bad sentence": LONG,
    "JSON and code": JSON_AND_CODE,
    "empty": "",
}


def main() -> None:
    """Check each text and print the verdict, the findings in place and the rewrite as a diff."""
    console = Console(highlight=False, emoji=False, markup=False)
    guard = Guard()
    begun = time.perf_counter()
    for title, text in TEXTS.items():
        console.rule(title, align="left")
        print_result(text, guard.check(text), console)
    console.rule()
    console.print(
        f"{len(TEXTS)} texts in {time.perf_counter() - begun:.1f} s, models loaded on the way, nothing sent anywhere"
    )


if __name__ == "__main__":
    main()

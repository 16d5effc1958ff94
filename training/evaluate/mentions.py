"""Say which groups a text names, by words: enough to sort blameless texts by group, too coarse to judge them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache

from guardrail.result import GROUPS
from guardrail.training.evaluate.swaps import PERSON

# Ordinary words too, such as black and old: these count before a noun for people only.
_ADJECTIVES: Mapping[str, str] = {
    "gender": "female male",
    "race": "black white brown asian latino latina hispanic indigenous native",
    "religion": "muslim christian jewish hindu buddhist sikh catholic protestant mormon atheist islamic",
    "nationality": "mexican canadian nigerian german italian indian american british french polish russian foreign "
    "japanese korean turkish arab african european middle-eastern",
    "lgbtq": "gay straight lesbian bisexual trans transgender queer cis cisgender same-sex",
    "disability": "disabled non-disabled deaf hearing blind sighted autistic mentally physically handicapped",
    "age": "old young older younger elderly senior middle-aged teenage",
    "class": "poor rich wealthy homeless low-income high-income working-class middle-class upper-class",
    "appearance": "fat overweight slim thin short tall bald obese ugly pretty",
    "political": "liberal conservative republican democratic left-wing right-wing socialist",
}
_NOUNS: Mapping[str, str] = {
    "gender": "wom[ae]n m[ae]n girls? boys? ladies lady females? males? mothers? fathers? wife wives husbands? "
    "sisters? brothers? daughters? sons? feminists? she herself himself",
    "race": "blacks whites asians latinos latinas hispanics african[- ]americans? native americans?",
    "religion": "muslims? islam christians jews? hindus buddhists sikhs catholics atheists mosques? synagogues?",
    "nationality": "mexicans canadians nigerians germans italians indians americans chinese japanese koreans "
    "immigrants? arabs? africans? foreigners? refugees? migrants?",
    "lgbtq": "gays? lesbians? lgbtq? homosexuals? bisexuals? transgender transwom[ae]n queer",
    "disability": "disabilit(?:y|ies) wheelchairs? autism blindness deafness dyslexia mental[- ]illness "
    "down[- ]syndrome",
    "age": "seniors? teenagers? millennials? boomers? pensioners? grandm\\w+ grandp\\w+ elderly",
    "class": "poverty homeless",
    "appearance": "obesity",
    "profession": "nurses? engineers? teachers? lawyers? plumbers? police doctors? secretar(?:y|ies) ceos? janitors?",
    "political": "republicans? democrats? conservatives? liberals? leftists? socialists?",
}


def mentioned(text: str) -> tuple[str, ...]:
    """Return the groups whose words a text has, in the order of the labels, whatever its capitals."""
    return tuple(group for group in GROUPS if _pattern(group).search(text))


@cache
def _pattern(group: str) -> re.Pattern[str]:
    # Some expressions have an optional blank or hyphen, so the lists are cut at plain blanks only.
    nouns = "|".join(re.split(r" (?![^\[]*\])", _NOUNS[group]))
    adjectives = "|".join(_ADJECTIVES.get(group, "").split())
    before = rf"|(?:{adjectives})(?=\s+(?:[\w-]+\s+)?(?:{PERSON})\b)" if adjectives else ""
    return re.compile(rf"(?<![\w-])(?:(?:{nouns})(?![\w-]){before})", re.IGNORECASE)

"""Swap the group that a text names for its counterpart, where grammar and sense survive it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, partial

_NOUNS = (
    "actor adult applicant artist athlete author buyer caller candidate child coach colleague commuter composer couple "
    "customer doctor donor driver engineer family farmer friend guest guide household immigrant juror kid lawyer "
    "leader listener man manager member musician neighbor neighbour nurse officer owner parent participant passenger "
    "patient person player reader renter researcher resident respondent scientist soldier student teacher teenager "
    "tenant tourist traveller user veteran visitor volunteer voter woman worker writer employee"
).split()
_IRREGULAR = {"man": "men", "woman": "women", "person": "people", "child": "children", "family": "families"}
PERSON = "|".join(sorted({*_NOUNS, *(_IRREGULAR.get(noun, f"{noun}s") for noun in _NOUNS), "coaches"}))


@dataclass(frozen=True, slots=True)
class Form:
    """One word in parallel for each member of a family; ``before_person`` counts only before a noun for people."""

    words: tuple[str, ...]
    before_person: bool = False


@dataclass(frozen=True, slots=True)
class Family:
    """Members of one group that may stand for each other; a text with a word of ``tied`` is left alone.

    The words of ``tied`` fit one member only (mosque); ``pregnan*`` stands for every word that begins so.
    """

    group: str
    forms: tuple[Form, ...]
    tied: str

    @property
    def members(self) -> tuple[str, ...]:
        """Return the members by the words of the first form."""
        return self.forms[0].words


@dataclass(frozen=True, slots=True)
class Swap:
    """A text with one member of a group put in another's place."""

    group: str
    before: str
    after: str
    text: str


def _adjectives(group: str, words: str, tied: str) -> Family:
    return Family(group, (Form(tuple(words.split("/")), before_person=True),), tied)


_PLACE = "Mexico Canada Nigeria Germany Italy India embassy passport visa language cuisine Lagos Berlin Rome Delhi"
_FAITH = (
    "mosque* church* synagogue* temple* Ramadan Easter Christmas Eid Quran Koran Bible Torah imam* priest* pastor* "
    "rabbi* pope kosher halal hijab* headscar* Islam* Christianity Judaism Hinduism Buddhism Sabbath Diwali gospel "
    "pilgrim* Mecca monk* pork bapti* mitzvah"
)
_VISION = "braille guide cane visual* eyesight colour* color* dog*"
_HEARING = "sign* caption* cochlear audio listen* lip-read* loud*"
_WORK = (
    "hospital* ward* clinic* patient* court* client* pipe* class* lesson* pupil* school* arrest* crime* bridge* "
    "software law laws legal"
)
_CHANGE = "transition* pronoun* hormone* surger* gender-affirming deadnam*"
_PARTY = "Trump Biden Obama Reagan Clinton Bush Harris GOP donkey elephant woke MAGA president*"

FAMILIES: tuple[Family, ...] = (
    Family(
        "gender",
        tuple(
            Form(tuple(pair.split("/")))
            for pair in (
                "women/men woman/man girls/boys girl/boy mothers/fathers mother/father wives/husbands wife/husband "
                "daughters/sons daughter/son sisters/brothers sister/brother grandmothers/grandfathers female/male "
                "she/he herself/himself"
            ).split()
        ),
        # Object and possessive pronouns are ambiguous (her: him or his), so a text that has them stays out.
        "her hers him his Ms Mr Mrs pregnan* menstru* menopaus* breast* cervi* ovar* prostat* testic* beard* matern* "
        "patern* suffrag* birth* midwi* nun nuns gyn* uter* lesbian* gay",
    ),
    _adjectives(
        "race", "Black/white/Asian/Latino", "slave* segregat* apartheid sickle Juneteenth Africa* Confedera* Jim"
    ),
    Family(
        "religion",
        (
            Form(("Muslims", "Christians", "Jews", "Hindus", "Buddhists")),
            Form(("Muslim", "Christian", "Jewish", "Hindu", "Buddhist"), before_person=True),
        ),
        _FAITH,
    ),
    Family(
        "nationality",
        (
            Form(("Mexicans", "Canadians", "Nigerians", "Germans", "Italians", "Indians")),
            Form(("Mexican", "Canadian", "Nigerian", "German", "Italian", "Indian"), before_person=True),
        ),
        _PLACE,
    ),
    Family(
        "lgbtq",
        (Form(("gay", "straight"), before_person=True), Form(("lesbian", "straight"), before_person=True)),
        "pride same-sex closet* came coming equality",
    ),
    _adjectives("lgbtq", "transgender/cisgender", _CHANGE),
    _adjectives("lgbtq", "trans/cis", _CHANGE),
    Family(
        "disability",
        (
            Form(("disabled", "non-disabled"), before_person=True),
            Form(("people with disabilities", "people without disabilities")),
        ),
        "wheelchair* ramp* accessib* barrier* benefit* lift*",
    ),
    _adjectives("disability", "deaf/hearing", _HEARING),
    _adjectives("disability", "blind/sighted", _VISION),
    _adjectives("disability", "autistic/non-autistic", "diagnos* sensory spectrum neuro*"),
    Family(
        "age",
        tuple(Form(tuple(pair.split("/")), before_person=True) for pair in ("older/younger", "old/young")),
        "year years retire* pension* dement* Medicare school* grand* child* teen* nursing",
    ),
    _adjectives("class", "poor/rich", "welfare yacht* poverty wealth* food"),
    _adjectives("class", "low-income/high-income", "welfare yacht* subsid* afford* poverty"),
    _adjectives("class", "working-class/upper-class", "factory union* estate*"),
    _adjectives("appearance", "overweight/slim", "diet* BMI weight* lose obes* calor*"),
    _adjectives("appearance", "short/tall", "height* term* ladder* shelf basketball"),
    Family(
        "profession",
        (
            Form(("nurses", "engineers", "teachers", "lawyers", "plumbers", "police officers")),
            Form(("nurse", "engineer", "teacher", "lawyer", "plumber", "police officer")),
        ),
        _WORK,
    ),
    Family("political", (Form(("Republicans", "Democrats")), Form(("Republican", "Democratic"), True)), _PARTY),
    Family("political", (Form(("conservatives", "liberals")), Form(("conservative", "liberal"), True)), _PARTY),
    _adjectives("political", "left-wing/right-wing", _PARTY),
)


def swaps(text: str) -> list[Swap]:
    """Return the text with each group that it names put in every counterpart's place; empty where that is not safe.

    A family counts where the text names exactly one of its members, every mention can be swapped, the counterpart's
    word does not stand in the text already, and no word ties the text to that member. An article before the swapped
    word follows it ("an older" becomes "a younger").
    """
    return [swap for family in FAMILIES for swap in _family_swaps(family, text)]


def _family_swaps(family: Family, text: str) -> Iterator[Swap]:
    named = _named(family, text)
    if len(named) != 1 or _tied(family.tied).search(text):
        return
    (at,) = named
    for other, name in enumerate(family.members):
        if other == at or any(_anywhere(form.words[other]).search(text) for form in family.forms):
            continue
        swapped = text
        for form in family.forms:
            put = partial(_put, form.words[other])
            swapped = _pattern(form.words[at], form.before_person).sub(put, swapped)
        if not any(_anywhere(form.words[at]).search(swapped) for form in family.forms):
            yield Swap(family.group, family.members[at], name, swapped)


def _named(family: Family, text: str) -> tuple[int, ...]:
    found = {
        at
        for form in family.forms
        for at, word in enumerate(form.words)
        if _pattern(word, form.before_person).search(text)
    }
    return tuple(sorted(found))


def _put(word: str, match: re.Match[str]) -> str:
    before = match.string[: match.start("word")].rstrip()
    opens = not before or before[-1] in '.!?:"“\n'
    article = match["article"] or ""
    if article:
        letter = "an" if word[0].lower() in "aeiou" else "a"
        gap = article[len(article.rstrip()) :]
        opens = False
        article = (letter.capitalize() if article[0].isupper() else letter) + gap
    return article + (word[0].upper() + word[1:] if opens else word)


@cache
def _pattern(word: str, before_person: bool) -> re.Pattern[str]:
    # At most one word between, so that "older male drivers" counts.
    ahead = rf"(?=\s+(?:[\w-]+\s+)?(?:{PERSON})\b)" if before_person else ""
    lower = re.escape(word[1:])
    # Names of peoples keep their capital; other words may have one where they open a sentence.
    first = word[0] if word[0].isupper() else f"[{word[0]}{word[0].upper()}]"
    return re.compile(rf"(?P<article>\b[Aa]n?\s+)?(?<![\w-])(?P<word>{first}{lower})(?![\w-]){ahead}")


@cache
def _anywhere(word: str) -> re.Pattern[str]:
    return re.compile(rf"(?<![\w-]){re.escape(word)}(?![\w-])", re.IGNORECASE)


@cache
def _tied(words: str) -> re.Pattern[str]:
    parts = (re.escape(word[:-1]) if word.endswith("*") else rf"{re.escape(word)}\b" for word in words.split())
    return re.compile(rf"\b(?:{'|'.join(parts)})", re.IGNORECASE)

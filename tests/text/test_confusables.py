from __future__ import annotations

import unicodedata

from guardrail.text.confusables import ALWAYS, FLAGS, LOOSE, OTHER_SCRIPTS


def test_no_ascii_character_is_folded() -> None:
    assert not [char for table in (ALWAYS, OTHER_SCRIPTS, LOOSE) for char in table if char.isascii()]


def test_every_target_is_latin_letters() -> None:
    targets = {target for table in (ALWAYS, OTHER_SCRIPTS, LOOSE) for target in table.values()}
    assert all(target.isascii() and target.isalpha() for target in targets)


def test_folds_by_context_keep_the_length() -> None:
    assert {len(target) for table in (OTHER_SCRIPTS, LOOSE) for target in table.values()} == {1}


def test_context_is_asked_of_other_scripts_only() -> None:
    assert not [char for char in OTHER_SCRIPTS if unicodedata.name(char).startswith("LATIN")]


def test_capitals_fold_to_capitals() -> None:
    assert (OTHER_SCRIPTS["\u0410"], OTHER_SCRIPTS["\u0430"], OTHER_SCRIPTS["\u0406"]) == ("A", "a", "I")


def test_flags_are_plain_words() -> None:
    assert FLAGS["US"] == "united states"
    assert all(name.replace(" ", "").isalpha() and name.isascii() and name.islower() for name in FLAGS.values())

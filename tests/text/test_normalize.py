from __future__ import annotations

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from guardrail.text.normalize import Normalized, normalize

PLAIN = "women are stupid"


# Pieces that undo, hide, combine or nest: random characters alone seldom meet one another.
FRAGMENTS = [
    *"abow<>&;*_~/!-#xQ 1=\n\t\r\b\x7f\x00\x1b[",
    *("&amp;", "&lt;", "&#60;", "amp;", "lt;", "<b>", "</b>", "<br>", "<!--", "-->", "/*", "*/", "**", "&#x", "&zwj;"),
    *(
        "ﬁ",
        "é",
        "e\u0301",
        "\u0338",
        "<\u0338",
        "\u0336",
        "Ａ",
        "＜",
        "＆",
        "；",
        "ǆ",
        "ß",
        "½",
        "²",
        "™",
        "…",
        "“",
        "ŉ",
    ),
    *("а", "е", "о", "ж", "я", "й", "α", "μ", "\u2126", "ս", "ꓪ", "Ꮃ", "𝐚", "①", "🅰", "🇺", "🇸", "😂", "❤\ufe0f"),
    *("👩\u200d👧", "\U0001fae8", "\u200d", "\u200c", "\u200b", "\u00ad", "\ufe0f", "\U000e0141", "\U000e0041"),
    *("\u202e", "\u202c", "\u2066", "\u0915", "\u094d", "ا", "\u064b", "ア", "\u3099", "ᄒ", "ᅡ", "ᆫ", "한"),
    *("\ud800", "\udc00", "\u0344", "\u0958", "\u0f73", "\u2adc", "\u00b4", "\u2028", "\x85", "ﷺ", "\u0e33"),
]


any_text = st.one_of(
    st.text(st.characters(), max_size=30),
    st.lists(st.sampled_from(FRAGMENTS), max_size=24).map("".join),
    st.lists(st.one_of(st.sampled_from(FRAGMENTS), st.characters()), max_size=16).map("".join),
)


def _tags(text: str) -> str:
    return "".join(chr(0xE0000 + ord(char)) for char in text)


def _selectors(text: str) -> str:
    return "".join(chr(0xFE00 + byte if byte < 16 else 0xE0100 + byte - 16) for byte in text.encode())


def _mapped(text: str, first_small: int, first_large: int | None = None) -> str:
    large = first_small if first_large is None else first_large
    return "".join(
        chr(first_small + ord(c) - 97) if c.islower() else chr(large + ord(c) - 65) if c.isupper() else c for c in text
    )


def views(normalized: Normalized, name: str) -> list[str]:
    return [view.text for view in normalized.views if view.name == name]


def signals(text: str) -> set[str]:
    return {signal.name for signal in normalize(text).signals}


@settings(max_examples=200)
@given(any_text)
@example("<<>>")
@example("&amp;" * 9 + "lt;b&gt;")
@example("<" * 9 + "b>" * 9)
@example("a" + "~~**" * 9 + "b" + "**~~" * 9 + "c")
def test_normalising_twice_changes_nothing_more(text: str) -> None:
    once = normalize(text).text
    assert normalize(once).text == once


@settings(max_examples=200)
@given(any_text)
@example("wo\ud800men")
@example("\udbff\udfff")
def test_no_surrogate_comes_out(text: str) -> None:
    normalized = normalize(text)
    for produced in (normalized.text, *(view.text for view in normalized.views)):
        produced.encode("utf-8")


@settings(max_examples=200)
@given(any_text)
def test_every_character_points_into_the_source_in_order(text: str) -> None:
    normalized = normalize(text)
    places = [normalized.to_source(index, index + 1) for index in range(len(normalized.text))]
    assert all(0 <= start < end <= len(text) for start, end in places)
    assert places == sorted(places)
    assert [end for _, end in places] == sorted(end for _, end in places)
    if places:
        assert normalized.to_source(0, len(normalized.text)) == (places[0][0], places[-1][1])


@settings(max_examples=300)
@given(any_text)
def test_views_and_signals_point_into_the_source(text: str) -> None:
    normalized = normalize(text)
    places = [(view.start, view.end) for view in normalized.views]
    places += [(signal.start, signal.end) for signal in normalized.signals]
    assert all(0 <= start <= end <= len(text) for start, end in places)


@given(st.text(st.sampled_from("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789 .,!?'\"()-\n\t")))
def test_plain_ascii_is_untouched(text: str) -> None:
    normalized = normalize(text)
    assert normalized.text == text
    assert normalized.runs == ()


@given(st.text(st.characters(codec="ascii"), max_size=40))
def test_ascii_letters_keep_their_order(text: str) -> None:
    # Controls may delete letters and markup may hide them, but none may appear from nowhere.
    kept = iter(text)
    if "&" not in text:
        assert all(char in kept for char in normalize(text).text if char.isalpha())


@given(
    st.sampled_from("\u200b\u200c\u200d\u2060\ufeff\u00ad\u034f\u115f\u1160\u3164\uffa0\u180e\u2061\x00\x1f"), st.data()
)
def test_an_invisible_character_anywhere_changes_nothing(char: str, data: st.DataObject) -> None:
    place = data.draw(st.integers(0, len(PLAIN)))
    normalized = normalize(PLAIN[:place] + char + PLAIN[place:])
    assert normalized.text == PLAIN
    assert normalized.to_source(0, len(PLAIN))[1] >= len(PLAIN)


@pytest.mark.parametrize(
    "disguised",
    [
        pytest.param("wоmеn аrе ѕtuріd", id="cyrillic"),
        pytest.param("wοmen αre stυpid", id="greek"),
        pytest.param("ԝոmen are ѕtսpid".replace("ո", "օ"), id="armenian"),
        pytest.param("ｗｏｍｅｎ ａｒｅ ｓｔｕｐｉｄ", id="full-width"),
        pytest.param(_mapped(PLAIN, 0x1D41A), id="mathematical bold"),
        pytest.param(_mapped(PLAIN, 0x1D5BA), id="mathematical sans"),
        pytest.param(_mapped(PLAIN, 0x24D0), id="circled"),
        pytest.param("ᴡᴏᴍᴇɴ ᴀʀᴇ sᴛᴜᴘɪᴅ", id="small capitals"),
        pytest.param("ʷᵒᵐᵉⁿ ᵃʳᵉ ˢᵗᵘᵖⁱᵈ", id="superscript"),
        pytest.param("wömén åré stüpîd", id="precomposed marks"),
        pytest.param("wømen ɑre stupiđ", id="strokes"),
        pytest.param("w\u0335o\u0335m\u0335e\u0335n\u0335 \u0335a\u0335re stupid", id="struck through"),
        pytest.param("".join(char + "\u0301\u0327\u0338\u0489" * 5 for char in PLAIN), id="zalgo"),
        pytest.param("\u200b".join(PLAIN), id="zero-width space"),
        pytest.param("\u00ad".join(PLAIN), id="soft hyphen"),
        pytest.param("\ufe0f".join(PLAIN), id="variation selector"),
        pytest.param("womm\ben are stupidd\x7f", id="backspace and delete"),
        pytest.param("wo\x1b[31mmen\x1b[0m are stu\x00pid", id="terminal escapes"),
        pytest.param("wo<b></b>men are st<!-- x -->upid", id="tags and comments"),
        pytest.param("<i>wom</i>en <span class='x'>are</span> stu<wbr>pid", id="inline tags"),
        pytest.param("&#119;omen &#x61;re stu&#112;id", id="numeric entities"),
        pytest.param("wo&shy;men are stu&ZeroWidthSpace;pid", id="named entities"),
        pytest.param("&amp;#119;omen &#38;#97;re stupid", id="entities twice"),
        pytest.param("wo**m**en **a**re stu~~pi~~d", id="emphasis inside words"),
        pytest.param("wo\ufeff\u2063men are stupid", id="joiners"),
        pytest.param("ꮃоmеn аre stupid", id="three scripts in a word"),
    ],
)
def test_a_disguise_is_undone(disguised: str) -> None:
    assert normalize(disguised).text == PLAIN


@pytest.mark.parametrize(
    ("disguised", "plain"),
    [
        ("🆆🅾🅼🅴🅽 are bad", "WOMEN are bad"),
        ("🅆🄾🄼🄴🄽 are bad", "WOMEN are bad"),
        ("🇼🇴🇲🇪🇳 are bad", "WOMEN are bad"),
        ("in this саѕе all", "in this case all"),
        ("“quotes” – it’s… fine", '"quotes" - it\'s... fine'),
        ("a\u00a0b\u3000c\u2028d", "a b c\nd"),
        ("<p>Women</p>", "\nWomen\n"),
        ("women<br>cook", "women\ncook"),
        ("wo\ud800men", "wo\ufffdmen"),
    ],
)
def test_a_form_becomes_plain(disguised: str, plain: str) -> None:
    assert normalize(disguised).text == plain


@pytest.mark.parametrize(
    ("emoji", "words"),
    [
        ("so funny 😂😂😂!", "so funny face with tears of joy!"),
        ("a👩🏿b", "a dark skinned woman b"),
        ("👩\u200d👩\u200d👧 here", "woman girl here"),
        ("👮\u200d♂️", "male police officer"),
        ("go 🇨🇳 and 🇺🇸🇲🇽", "go flag of china and flag of united states flag of mexico"),
        ("❤️", "heart"),
        ("🏴\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f", "waving flag"),
        ("1\ufe0f\u20e3", "1"),
    ],
)
def test_emoji_become_words(emoji: str, words: str) -> None:
    normalized = normalize(emoji)
    assert normalized.text == words
    assert not normalized.signals
    assert normalized.to_source(0, 1)[0] == 0


def test_a_flood_of_emoji_does_not_blow_up() -> None:
    text = "a😂b😍" * 5000
    assert len(normalize(text).text) <= 3 * len(text) + 1100


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("Он сказал, что все хорошо. Сухо и тепло, рос сосна.", id="russian"),
        pytest.param("She quoted «он сухо ответил» and left.".replace("«", '"').replace("»", '"'), id="russian quoted"),
        pytest.param("Η γυναικα ειναι εξυπνη και το ξερει.", id="greek"),
        pytest.param("女人太情绪化了。你好！我们走吧".replace("！", "!"), id="chinese"),
        pytest.param("日本語のテキストが「ここ」にあります。プログラム", id="japanese"),
        pytest.param("여자는 너무 감정적이다.", id="korean"),
        pytest.param("औरतें बहुत भावुक होती हैं। क्\u200dष", id="hindi with a joiner"),
        pytest.param("می\u200cخواهم النساءُ عاطفيّات", id="persian and arabic"),
        pytest.param("נָשִׁים הן רגישות מדי", id="hebrew with points"),
        pytest.param("ผู้หญิงอ่อนไหวเกินไป", id="thai"),
        pytest.param("x² + y² ≠ 10½, ∑ α = 0.05, ∀ε ∃δ, 5 ≤ 6", id="maths"),
        pytest.param("for (i = 0; i < n && b > c; i++) { a[i] = *p ** 2; }", id="c"),
        pytest.param("def f(x: List[int]) -> Map<String, b>: return x_y * __z__ ** 2", id="generics"),
        pytest.param("vector<int> v; if (a<b || c>d) Foo<T>(x); List<b> y;", id="c++"),
        pytest.param("https://a.com/?a=1&lt=3&copy=2&b=x_y~z#frag", id="url"),
        pytest.param("# Title\n* item **bold** and _it_ `code`\r\n1. one\n| a | b |", id="markdown"),
        pytest.param("f*ck this sh*t", id="censored"),
        pytest.param("scanf(&image;); x = &foo; AT&T &c", id="ampersands"),
        pytest.param("if a<b or c>d: pass", id="comparison"),
        pytest.param("3.14, 1,000 and 50% of $5 at 10:30 on 2024-01-02", id="numbers"),
    ],
)
def test_harmless_text_survives(text: str) -> None:
    normalized = normalize(text)
    assert normalized.text == text
    assert not normalized.signals


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("Kadınlar çok güçlü, İstanbul", "Kadinlar cok guclu, Istanbul"),
        ("Phụ nữ Việt Nam rất giỏi, đúng", "Phu nu Viet Nam rat gioi, dung"),
        ("Ей всё ещё нужен йод", "Еи все еще нужен иод"),
    ],
)
def test_marks_fold_in_latin_and_cyrillic(text: str, plain: str) -> None:
    assert normalize(text).text == plain


def test_decomposed_and_composed_text_become_the_same() -> None:
    for composed, decomposed in (("é", "e\u0301"), ("й", "и\u0306"), ("한", "\u1112\u1161\u11ab"), ("ガ", "カ\u3099")):
        assert normalize(composed).text == normalize(decomposed).text


def test_offsets_pass_over_what_was_removed() -> None:
    text = "I say w\u200bo\u200bm\u200be\u200bn &amp; <b>men</b>"
    normalized = normalize(text)
    start = normalized.text.index("women")
    left, right = normalized.to_source(start, start + 5)
    assert text[left:right] == "w\u200bo\u200bm\u200be\u200bn"
    amp = normalized.text.index("&")
    assert text[slice(*normalized.to_source(amp, amp + 1))] == "&amp;"
    men = normalized.text.rindex("men")
    assert text[slice(*normalized.to_source(men, men + 3))] == "men"


def test_an_empty_span_stays_empty() -> None:
    normalized = normalize("“a” b…")
    for place in range(len(normalized.text) + 1):
        start, end = normalized.to_source(place, place)
        assert start == end <= 6


@pytest.mark.parametrize("span", [(-1, 2), (2, 1), (0, 4)])
def test_a_span_outside_the_text_is_refused(span: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="outside the normalised text of 3 characters"):
        normalize("abc").to_source(*span)


def test_tag_characters_are_read_and_told() -> None:
    text = "nice day" + _tags("women are bad") + "!"
    normalized = normalize(text)
    assert normalized.text == "nice day!"
    assert views(normalized, "tag_characters") == ["women are bad"]
    (signal,) = normalized.signals
    assert (signal.name, signal.start, signal.end) == ("tag_characters", 8, 21)

"""Captions come out in one form whatever they hold, or are rejected for a reason."""

import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from rglcd_pipelines.data.pairs.captions import BadCaption, normalise
from rglcd_pipelines.data.pairs.rules import Rules

ANY_LENGTH = Rules(caption_min_length=1, person="keep")
POLICIES = [Rules(caption_min_length=1, person=p) for p in ("keep", "drop", "replace")]
FAMILY = "\U0001f468\u200d\U0001f469\u200d\U0001f467"
DARK_PILOT = "\U0001f469\U0001f3fe\u200d\u2708\ufe0f"
HEART_ON_FIRE = "\u2764\ufe0f\u200d\U0001f525"


def reason_of(raw: bytes, rules: Rules = ANY_LENGTH) -> str:
    with pytest.raises(BadCaption) as caught:
        normalise(raw, rules)
    return caught.value.reason


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ("a cat", "a cat"),
        ("  a\tcat \r\n on\u00a0a\u2003mat\x00 ", "a cat on a mat"),
        ("cafe\u0301", "café"),
        ("caf\u200be\u0301", "café"),
        ("cafe\u200b\u0301", "café"),
        ("\ufeffa cat", "a cat"),
        ("a\u00adcat", "acat"),
        ("user\u202egnp.tac\u202c", "usergnp.tac"),
        ("a\u2066b\u2069c", "abc"),
        ("a\u2028b\u2029c\x85d\x7fe\x9ff", "a b c d e f"),
        ("a\u200db \u200d \u200dc", "ab c"),
        (f"{FAMILY} {DARK_PILOT} {HEART_ON_FIRE}", f"{FAMILY} {DARK_PILOT} {HEART_ON_FIRE}"),
        (f"{FAMILY}\u200d", FAMILY),
        (f"a\u200d{FAMILY}", f"a{FAMILY}"),
        ("日本語 и русский", "日本語 и русский"),
    ],
)
def test_one_form(raw: str, expected: str) -> None:
    assert normalise(raw.encode(), ANY_LENGTH) == expected


@given(
    st.text(alphabet=st.sampled_from("ae<PERSON> \u0301\u200d\u200b\ufe0f\u2764\U0001f525\x00\n\U0001d15e"))
)
@example("<PER\u200bSON>")
@example("<P<PERSON>N>")
@example("<PERSON>\u0301")
@example("\u212a<\u2126")
def test_twice_is_once_for_nasty_text(text: str) -> None:
    for rules in POLICIES:
        check_idempotent(text, rules)


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_twice_is_once(text: str) -> None:
    for rules in POLICIES:
        check_idempotent(text, rules)


def check_idempotent(text: str, rules: Rules) -> None:
    try:
        once = normalise(text.encode(), rules)
    except BadCaption:
        return
    assert normalise(once.encode(), rules) == once
    assert once == " ".join(once.split())
    assert unicodedata.is_normalized("NFC", once)
    assert not any(unicodedata.category(c) in ("Cc", "Cf", "Zl", "Zp") for c in once if c != "\u200d")
    assert rules.person == "keep" or "<PERSON>" not in once


@given(st.binary())
def test_any_bytes_are_a_caption_or_a_verdict(raw: bytes) -> None:
    try:
        normalise(raw, ANY_LENGTH)
        encoding_is_bad = False
    except BadCaption as error:
        encoding_is_bad = error.reason == "caption_encoding"
    assert encoding_is_bad != decodes(raw)


def decodes(raw: bytes) -> bool:
    try:
        raw.decode()
    except UnicodeDecodeError:
        return False
    return True


def test_bad_utf8() -> None:
    assert reason_of(b"a \xff cat") == "caption_encoding"
    assert reason_of("a café".encode("latin-1")) == "caption_encoding"
    assert reason_of(b"a cat \xed\xa0\x80") == "caption_encoding"


def test_nothing_to_see_is_empty() -> None:
    for raw in ("", "   ", "\x00\x01\x02\x1f\x7f", "\u200b\u200d\ufeff", "\u202e\u202c", "\r\n\t"):
        assert reason_of(raw.encode()) == "empty_caption"


def test_length_is_counted_in_characters_after_normalising() -> None:
    rules = Rules(caption_min_length=3, caption_max_length=5)
    assert normalise(b"  abc  ", rules) == "abc"
    assert normalise("日本語日本".encode(), rules) == "日本語日本"
    assert reason_of(b"  ab   ", rules) == "caption_too_short"
    assert reason_of(b"abcdef", rules) == "caption_too_long"


@pytest.mark.parametrize("character", ["a", "é", "日", FAMILY, " a"])
def test_a_hundred_thousand_characters(character: str) -> None:
    assert reason_of((character * 100_000).encode(), Rules()) == "caption_too_long"


def test_sixty_megabytes_are_not_even_decoded() -> None:
    assert reason_of(b"\xff" * 60 * 2**20, Rules()) == "caption_too_long"


def test_the_policies_for_people() -> None:
    raw = b"<PERSON> and <PERSON>\xe2\x80\x8b's dog"
    keep, drop, replace = POLICIES
    assert normalise(raw, keep) == "<PERSON> and <PERSON>'s dog"
    assert reason_of(raw, drop) == "person_caption"
    assert normalise(raw, replace) == "person and person's dog"
    assert normalise(raw, Rules(person_word="a person")) == "a person and a person's dog"
    assert normalise(b"a <person>", drop) == "a <person>"

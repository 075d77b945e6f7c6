"""Captions as text encoders should see them: Unicode in one form, one line, nothing invisible."""

import re
import unicodedata
from typing import Any

from rglcd_pipelines.data.pairs.rules import PERSON, Rules

# A zero-width joiner makes one picture of two, such as a family, where it stands between pictographs (the
# left one perhaps with a skin tone or a variation selector behind it). Elsewhere it is removed.
_PICTOGRAPHS = "\u2190-\u2bff\U0001f000-\U0001faff"
_LONE_JOINER = re.compile(f"(?<![{_PICTOGRAPHS}\ufe0f])\u200d|\u200d(?![{_PICTOGRAPHS}])")


class BadCaption(ValueError):  # noqa: N818
    """A caption that cannot be used, and why: a verdict to be counted, hence the name."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason

    def __reduce__(self) -> tuple[Any, ...]:
        return BadCaption, (self.reason,)


class _Invisible(dict[int, str | int | None]):
    """For str.translate: control characters become spaces, format characters vanish, the rest stays."""

    def __missing__(self, code: int) -> str | int | None:
        category = unicodedata.category(chr(code))
        if category == "Cc":
            self[code] = " "
        elif category == "Cf" and code != 0x200D:  # the joiners that are left join pictographs
            self[code] = None
        else:
            self[code] = code
        return self[code]


_INVISIBLE = _Invisible()


def normalise(raw: bytes, rules: Rules) -> str:
    """The caption in `raw` as text, or BadCaption; normalising the result again changes nothing."""
    # No caption this long becomes a short one but by white space; it is not worth a look.
    if len(raw) > 16 * rules.caption_max_length + 1024:
        raise BadCaption("caption_too_long")
    try:
        text = _clean(raw.decode("utf-8"))
    except UnicodeDecodeError:
        raise BadCaption("caption_encoding") from None
    if PERSON in text:
        if rules.person == "drop":
            raise BadCaption("person_caption")
        if rules.person == "replace":
            text = _clean(text.replace(PERSON, rules.person_word))
    if not text:
        raise BadCaption("empty_caption")
    if len(text) < rules.caption_min_length:
        raise BadCaption("caption_too_short")
    if len(text) > rules.caption_max_length:
        raise BadCaption("caption_too_long")
    return text


def _clean(text: str) -> str:
    text = unicodedata.normalize("NFC", text)
    text = _LONE_JOINER.sub("", text).translate(_INVISIBLE)
    # Once more: what was removed may have stood between a letter and its accent.
    return " ".join(unicodedata.normalize("NFC", text).split())

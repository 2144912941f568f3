"""A model in Python of how words are searched: it folds, splits and matches as the functions of the database do."""

import re
import unicodedata

FOLDED = str.maketrans({"ß": "ss", "æ": "ae", "œ": "oe"} | dict(zip("ıłøđς", "ilodσ", strict=True)))
IGNORED = re.compile("[\u0300-\u036f\u00ad\u200c\u200d\u2060\ufe00-\ufe0f\ufeff\U0001f3fb-\U0001f3ff]")
RUN = "[\u0e00-\u0eff\u3005-\u3007\u3041-\u309a\u30a1-\u30fa\u30fc\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7a3]"
TOKEN = re.compile(f"({RUN}+)|([\u2600-\u27bf\U0001f000-\U0001faff]|[a-z0-9µ-ʯα-ωа-џא-ת٠-٩ء-يक-ह]+)")


def fold(value: str) -> str:
    without_marks = IGNORED.sub("", unicodedata.normalize("NFKD", value).lower())
    return unicodedata.normalize("NFC", without_marks).translate(FOLDED)


def words(value: str) -> list[str]:
    found: list[str] = []
    for run, word in TOKEN.findall(fold(value)):
        found += [run[n : n + 2] for n in range(len(run))] if run else [word[:64]]
    return found


def matches(searched: str, *values: str) -> bool:
    """Whether each word of `searched` is in a value: a run of characters without spaces anywhere in a run, other words
    as a whole, the last one also as the start of a word."""
    tokens = [(match[0], match[1] is not None) for match in TOKEN.finditer(fold(searched))]
    stored = {word for value in values for word in words(value)}
    for number, (token, is_run) in enumerate(tokens, 1):
        if is_run:
            parts = [token] if len(token) == 1 else [token[n : n + 2] for n in range(len(token) - 1)]
            if not all(any(word.startswith(part) for word in stored) for part in parts):
                return False
        elif token[:64] not in stored and not (
            number == len(tokens)
            and fold(searched).endswith(token[-1])
            and any(word.startswith(token[:64]) for word in stored)
        ):
            return False
    return bool(tokens)

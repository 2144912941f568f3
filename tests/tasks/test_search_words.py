"""The functions of the database that search words agree with a model in Python."""

import re
import unicodedata

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from support.databases import fetch

FOLDED = str.maketrans({"ß": "ss", "æ": "ae", "œ": "oe"} | dict(zip("ıłøđς", "ilodσ", strict=True)))
IGNORED = re.compile("[\u0300-\u036f\u00ad\u200c\u200d\u2060\ufe00-\ufe0f\ufeff\U0001f3fb-\U0001f3ff]")
RUN = "[\u0e00-\u0eff\u3005-\u3007\u3041-\u309a\u30a1-\u30fa\u30fc\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7a3]"
TOKEN = re.compile(f"({RUN}+)|([\u2600-\u27bf\U0001f000-\U0001faff]|[a-z0-9µ-ʯα-ωа-џא-ת٠-٩ء-يक-ह]+)")

LETTERS = "abcXYZ019éÉñÅøŁßẞœÆıİΣσςώΏёЁйЖщשלוםسلامकखगﬁ①ｱｶﾞＡｂ\u0301\u0308\u200d"
RUNS = "会議室日本語々ひらがナカーハンプ회의를한ประชุม"
PICTURES = "😀👍🏽🎉❤️👨\u200d👩☀"
SEPARATORS = " \t\n%_'\"\\:*&|!()<>-.,;/+$€。、・「」！？\u00a0\u3000"
TEXT = st.text(LETTERS + RUNS + PICTURES + SEPARATORS, max_size=40)
# Few characters, so that a search finds something.
NARROW = st.text("aé会議한 😀%'", max_size=12)

thorough = settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


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


@thorough
@given(st.lists(TEXT, max_size=20))
def test_words_of_a_text_are_those_of_the_model(database_url: str, values: list[str]) -> None:
    assert fetch(database_url, "SELECT task_words(value) FROM unnest($1::text[]) AS value", values) == list(
        map(words, values)
    )


@thorough
@given(st.lists(st.tuples(NARROW, NARROW, NARROW, NARROW), min_size=1, max_size=20))
def test_search_finds_what_the_model_finds(database_url: str, cases: list[tuple[str, str, str, str]]) -> None:
    found = fetch(
        database_url,
        """
            SELECT coalesce(task_lexemes('me', title, description, ARRAY[label]) @@ task_query('me', searched), false)
            FROM unnest($1::text[], $2::text[], $3::text[], $4::text[]) AS row (searched, title, description, label)
        """,
        *zip(*cases, strict=True),
    )
    assert found == [matches(*case) for case in cases]


@thorough
@given(st.text(RUNS, min_size=1, max_size=20), st.data())
def test_each_part_of_a_run_finds_it(database_url: str, run: str, data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(run) - 1))
    part = run[start : data.draw(st.integers(start + 1, len(run)))]
    found = "SELECT task_lexemes('me', $1, NULL, '{}') @@ task_query('me', $2)"
    assert fetch(database_url, found, f"Room{run}!", part) == [matches(part, run)]
    assert matches(part, run)


@thorough
@given(st.lists(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])), max_size=20))
def test_any_text_is_a_search_and_finds_itself(database_url: str, values: list[str]) -> None:
    """A text without a word finds nothing."""
    found = """
        SELECT coalesce(task_lexemes('me', value, NULL, '{}') @@ task_query('me', value), false)
            = (task_words(value) <> '{}')
        FROM unnest($1::text[]) AS value
    """
    assert all(fetch(database_url, found, values))

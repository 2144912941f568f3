"""The functions of the database that search words agree with a model in Python."""

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from support.databases import fetch
from support.searched_words import matches, words

LETTERS = "abcXYZ019éÉñÅøŁßẞœÆıİΣσςώΏёЁйЖщשלוםسلامकखगﬁ①ｱｶﾞＡｂ\u0301\u0308\u200d"
RUNS = "会議室日本語々ひらがナカーハンプ회의를한ประชุม"
PICTURES = "😀👍🏽🎉❤️👨\u200d👩☀"
SEPARATORS = " \t\n%_'\"\\:*&|!()<>-.,;/+$€。、・「」！？\u00a0\u3000"
TEXT = st.text(LETTERS + RUNS + PICTURES + SEPARATORS, max_size=40)
# Few characters, so that a search finds something.
NARROW = st.text("aé会議한 😀%'", max_size=12)

thorough = settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


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

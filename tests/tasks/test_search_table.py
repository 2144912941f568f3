"""Every write of a task, of any program, leaves its words in the table that is searched."""

import asyncio

import pytest

from support.databases import execute, fetch
from support.task_lists import old_writers
from todo_api.database.migrate import downgrade, upgrade

ADD = "INSERT INTO task (user_id, title, labels) VALUES ('{user}', 'Buy café', '{{home}}')"
WRONG = """
    SELECT coalesce(task.id, search.id) FROM task FULL JOIN task_search AS search USING (id)
    WHERE (search.created_at, search.words)
        IS DISTINCT FROM (task.created_at, task_lexemes(task.user_id, task.title, task.description, task.labels))
"""
ROW = (
    "SELECT (search.xmin, search.ctid, words)::text FROM task_search AS search JOIN task USING (id) WHERE user_id = $1"
)


@pytest.mark.parametrize(
    "change",
    [
        "title = 'Sell tea'",
        "description = 'two of them'",
        "labels = '{shop}'",
        "title = title, user_id = user_id || '-new'",
        "created_at = created_at - interval '1 day'",
    ],
    ids=["title", "description", "labels", "owner", "creation"],
)
def test_changed_task_has_changed_words(database_url: str, user: str, change: str) -> None:
    execute(database_url, ADD.format(user=user))
    before = fetch(database_url, ROW, user)
    execute(database_url, f"UPDATE task SET {change} WHERE user_id = '{user}'")  # noqa: S608
    assert fetch(database_url, ROW, user) != before
    # Without the tasks of other tests, of which there may be 100,000.
    assert fetch(database_url, f"{WRONG} AND task.user_id IN ($1::text, $1::text || '-new')", user) == []


@pytest.mark.parametrize(
    "change",
    ["completed = true", "title = title, labels = labels", "deleted_at = now()"],
    ids=["completed", "same words", "tombstone"],
)
def test_change_of_no_word_writes_no_words(database_url: str, user: str, change: str) -> None:
    execute(database_url, ADD.format(user=user))
    before = fetch(database_url, ROW, user)
    execute(database_url, f"UPDATE task SET {change} WHERE user_id = '{user}'")  # noqa: S608
    assert fetch(database_url, ROW, user) == before != []


def test_removed_task_has_no_words(database_url: str, user: str) -> None:
    execute(database_url, ADD.format(user=user))
    (task_id,) = fetch(database_url, f"DELETE FROM task WHERE user_id = '{user}' RETURNING id")  # noqa: S608
    assert fetch(database_url, "SELECT id FROM task_search WHERE id = $1", task_id) == []


def test_search_of_one_user_finds_no_task_of_another(database_url: str, user: str) -> None:
    execute(database_url, ADD.format(user=user))
    for owner, number in (user, 1), (f"{user}-other", 0):
        found = fetch(database_url, "SELECT id FROM task_search WHERE words @@ task_query($1, 'cafe')", owner)
        assert len(found) == number


def test_tasks_from_before_have_words_after_the_migration(empty_database_url: str) -> None:
    """More than two steps, and again after the words of some were lost."""
    url = empty_database_url
    upgrade(url, revision="0003")
    execute(
        url, "INSERT INTO task (user_id, title) SELECT 'u' || n % 7, 'Task ' || n FROM generate_series(1, 2100) AS n"
    )
    upgrade(url)
    assert fetch(url, WRONG) == []
    execute(url, "DELETE FROM task_search WHERE id % 3 = 0; UPDATE alembic_version SET version_num = '0003'")
    upgrade(url)
    assert fetch(url, WRONG) == []
    downgrade(url, "0003")
    assert fetch(url, "SELECT to_regclass('task_search')") == [None]
    assert fetch(url, "SELECT proname::text FROM pg_proc WHERE proname ~ 'task_(words|lexemes|query|search)'") == []


def test_words_are_right_though_old_processes_write_during_the_migration(empty_database_url: str) -> None:
    async def run() -> tuple[int, int]:
        async with old_writers(url, ["u1", "u2", "u3"]) as writes:
            async with asyncio.timeout(60):
                while (before := writes[0]) < 100:
                    await asyncio.sleep(0.01)
                await asyncio.to_thread(upgrade, url)
                during = writes[0]
                while writes[0] < during + 100:
                    await asyncio.sleep(0.01)
        return before, during

    url = empty_database_url
    upgrade(url, revision="0001")
    execute(
        url, "INSERT INTO task (user_id, title) SELECT 'u' || n % 4, 'Task ' || n FROM generate_series(1, 5000) AS n"
    )
    before, during = asyncio.run(run())
    assert during > before
    assert fetch(url, WRONG) == []

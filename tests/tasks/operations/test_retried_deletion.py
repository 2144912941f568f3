"""A deletion that is sent again."""

from concurrent.futures import ThreadPoolExecutor

import httpx

from support.operations import tasks


class TestRetriedDeletion:
    """A deletion with If-Match can be sent again (RFC 9110, section 13.1.1)."""

    def test_retried_deletion_with_its_condition_is_204_again(
        self, client: httpx.Client, user: str, task: dict[str, str]
    ) -> None:
        url, condition = f"{tasks(user)}/{task['id']}", {"If-Match": task["etag"]}
        assert [client.delete(url, headers=condition).status_code for _ in range(3)] == [204] * 3
        assert client.delete(url).status_code == 404
        assert client.get(tasks(user)).json()["items"] == []

    def test_deletion_with_another_condition_is_404_afterwards(
        self, client: httpx.Client, user: str, task: dict[str, str]
    ) -> None:
        url = f"{tasks(user)}/{task['id']}"
        changed = client.put(url, json={"title": "Buy oat milk"}).json()
        assert client.delete(url).status_code == 204
        assert client.delete(url, headers={"If-Match": task["etag"]}).status_code == 404
        assert client.delete(url, headers={"If-Match": changed["etag"]}).status_code == 204

    def test_retried_deletion_of_a_restored_task_is_412(
        self, client: httpx.Client, user: str, task: dict[str, str]
    ) -> None:
        url, condition = f"{tasks(user)}/{task['id']}", {"If-Match": task["etag"]}
        client.delete(url, headers=condition)
        restored = client.post(f"{url}/restore").json()
        rejected = client.delete(url, headers=condition)
        assert (rejected.status_code, rejected.json()["task"]) == (412, restored)

    def test_same_deletion_at_once_is_204_for_each(self, client: httpx.Client, user: str, task: dict[str, str]) -> None:
        url, condition = f"{tasks(user)}/{task['id']}", {"If-Match": task["etag"]}
        with ThreadPoolExecutor(8) as threads:
            answers = list(threads.map(lambda _: client.delete(url, headers=condition).status_code, range(20)))
        assert answers == [204] * 20

"""Requests with an Idempotency-Key."""

import httpx


def keyed(key: str, **others: str) -> dict[str, str]:
    return {"Idempotency-Key": key, **others}


def same(first: httpx.Response, other: httpx.Response) -> bool:
    """Whether two answers differ only in their request ids, dates and Idempotency-Replayed."""

    def of(answer: httpx.Response) -> object:
        own = {"date", "x-request-id", "idempotency-replayed"}
        headers = sorted((name, value) for name, value in answer.headers.multi_items() if name not in own)
        body = {name: value for name, value in answer.json().items() if name not in {"instance", "request_id"}}
        return answer.status_code, headers, body

    return of(first) == of(other)


def complete(client: httpx.Client, url: str, key: str, body: dict[str, bool] | None, **headers: str) -> httpx.Response:
    return client.patch(f"{url}/complete", json=body, headers=keyed(key, **headers))

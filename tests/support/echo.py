"""An app whose operations return what they received, in bodies of every media type."""

from typing import Annotated, Any, Union

import httpx
from fastapi import Body, FastAPI

from fastapi_contract.application import contract_app
from fastapi_contract.contract import Contract
from fastapi_contract.router import ContractRouter
from fastapi_contract.validation.files import File
from support import ROOT

CONTRACT = ROOT / "tests/engine/bodies.yaml"
FORM = "application/x-www-form-urlencoded"
NDJSON = "application/x-ndjson"
MULTIPART = "multipart/form-data; boundary=b"


def types_of_bodies(models: Any) -> dict[str, Any]:
    choice = Union[models.Note, models.Form, str, bytes]  # noqa: UP007
    return {
        "sendJson": models.Note | None,
        "sendPatch": models.Note,
        "sendForm": models.Form,
        "sendOptions": models.Options,
        "upload": models.Upload,
        "sendText": Annotated[str, Body()],
        "sendBinary": Annotated[bytes | None, Body()],
        "sendLines": Annotated[list[models.Note], Body()],
        "sendNotes": Annotated[models.Note | list[models.Note] | None, Body()],
        "sendChoice": Annotated[choice, Body()],
    }


def app_of(models: Any, types: dict[str, Any], *, shortcut: bool) -> FastAPI:
    contract = Contract.parse(CONTRACT.read_bytes())
    router = ContractRouter(contract, models)
    for operation_id, type_of_body in types.items():
        optional = operation_id in {"sendJson", "sendBinary", "sendNotes"}

        async def handler(body: Any) -> Any:
            return models.Echo(received=shown(body))

        async def handler_of_optional(body: Any = None) -> Any:
            return models.Echo(received=shown(body))

        chosen = handler_of_optional if optional else handler
        chosen.__annotations__ = {"body": type_of_body, "return": models.Echo}
        router.operation(operation_id)(chosen)
    return contract_app(contract, [router], shortcut=shortcut)


def shown(value: Any) -> str:
    """The members that were sent, with their types, and files with name and media type."""
    if isinstance(value, File):
        return f"{len(value)} bytes of {value.name}, {value.media_type}" if len(value) > 9 else repr(bytes(value))
    if isinstance(value, list):
        return f"[{', '.join(map(shown, value))}]"
    if not hasattr(value, "model_fields_set"):
        return repr(value)
    members = {name: getattr(value, name) for name in type(value).model_fields if name in value.model_fields_set}
    return ", ".join(f"{name}={shown(each)}" for name, each in members.items())


def post(client: httpx.Client, path: str, media_type: str | None, body: bytes) -> httpx.Response:
    headers = {} if media_type is None else {"Content-Type": media_type}
    return client.post(path, content=body, headers=headers)


def parts(*each: tuple[str, bytes]) -> bytes:
    """A multipart body; a part has the parameters of its Content-Disposition, further headers, and its content."""
    lines = [
        b"--b\r\nContent-Disposition: form-data; %s\r\n\r\n%s\r\n" % (head.encode(), content) for head, content in each
    ]
    return b"".join(lines) + b"--b--\r\n"

"""The contract of the service, divided into several files."""

import json
from pathlib import Path
from typing import Any

from todo_api.contract import load_contract

MAIN, SCHEMAS, PATHS = "openapi.yaml", "schemas.yaml", "paths/tasks.json"


def divided() -> dict[str, str]:
    """The files, by their names: the schemas and the path items of tasks are in files of their own."""
    main = json.loads(json.dumps(load_contract().document))
    components, schemas = main["components"], main["components"]["schemas"]
    components["schemas"] = {name: {"$ref": f"./{SCHEMAS}#/{name}"} for name in schemas}
    items = {path: item for path, item in main["paths"].items() if path.startswith("/api/")}
    components["pathItems"] = {}
    for number, path in enumerate(items):
        components["pathItems"][f"Tasks{number}"] = {"$ref": f"{PATHS}#/{number}"}
        main["paths"][path] = {"$ref": f"#/components/pathItems/Tasks{number}"}
    return {
        MAIN: json.dumps(main, indent=1),
        SCHEMAS: _within("openapi.yaml", schemas),
        PATHS: _within("../openapi.yaml", [*items.values()]),
    }


def write(folder: Path) -> None:
    for name, text in divided().items():
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)


def _within(main: str, value: Any) -> str:
    # In `$ref`, and in the mapping of a discriminator.
    return json.dumps(value, indent=1).replace('"#/components/', f'"{main}#/components/')

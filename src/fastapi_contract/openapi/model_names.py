"""The names of the generated models and types: classes of Python, and types of TypeScript."""

import re

_TAKEN = frozenset(
    # Python
    {"Annotated", "Any", "AwareDatetime", "BaseModel", "ConfigDict", "Decimal", "Dict", "Enum", "False", "Field"}
    | {"IntEnum", "List", "Literal", "MISSING", "None", "Optional", "RootModel", "Sequence", "Set", "StrEnum"}
    | {"StrictBool", "StrictBytes", "StrictFloat", "StrictInt", "StrictStr", "True", "TypeAliasType", "UUID", "Union"}
    # TypeScript
    | {"Omit", "Record", "WithRequired"}
)
"""Names that generated modules import or use, and those of constants."""


def model_name(schema_name: str) -> str:
    """The name of a schema as that of a class; empty if it has neither letter nor digit.

    model_name("task-page")  # "TaskPage"
    model_name("2fa")  # "Model2fa"
    model_name("Field")  # "FieldModel"
    """
    name = "".join(word[0].upper() + word[1:] for word in re.findall(r"[A-Za-z0-9]+", schema_name))
    if name[:1].isdecimal():
        return f"Model{name}"
    return f"{name}Model" if name in _TAKEN else name

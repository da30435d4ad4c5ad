"""A setting that is wrong, in words: its name, what was given, what is allowed, an example."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sync.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pydantic import BaseModel, ValidationError

EXAMPLES = {
    "timezone": 'timezone = "Europe/Berlin"',
    "source.url": '[source] url = "postgresql+psycopg2://reader@db1/sales"',
    "target.url": '[target] url = "postgresql+psycopg2://loader@db2/warehouse"',
    "target.schema": '[target] schema = "public"',
    "lock.url": '[lock] url = "rediss://:password@redis1:6379/0" or "postgresql://lock@db3/locks"',
    "lock": "[lock] ttl_s = 30",
    "tables": '[[tables]] name = "orders" date_column = "created_at"',
    "run": "[run] group_rows = 100000",
    "state_dir": 'state_dir = ".batch_sync"',
}


def worded(error: ValidationError, sections: Mapping[str, type[BaseModel]]) -> SettingsError:
    """The first of the errors; `sections` by name, the whole under no name."""
    first = error.errors(include_url=False)[0]
    setting = ".".join(str(part) for part in first["loc"]) or "batch_sync.toml"
    secret = bool(first["loc"]) and first["loc"][0] in {"source", "target", "store", "lock"}
    missing = first["type"] == "missing" or not first["loc"]
    section = str(first["loc"][0]) if first["loc"] else ""
    return SettingsError(
        setting=setting,
        given=_given(first["type"], secret=secret, value=first["input"], whole=missing),
        allowed=_allowed(first["type"], sections.get(section, sections[""]), first["msg"]),
        example=EXAMPLES.get(setting) or EXAMPLES.get(section) or EXAMPLES["source.url"],
    )


def _given(kind: str, *, secret: bool, value: object, whole: bool) -> str:
    # Never a value that may be a secret: in a section with a URL, or under a misspelt name.
    if whole:
        return "nothing that fits"
    if kind == "extra_forbidden":
        return "a name that means nothing"
    return "a value that is not shown" if secret else repr(value)


def _allowed(kind: str, model: type[BaseModel], message: str) -> str:
    if kind != "extra_forbidden":
        return message.removeprefix("Value error, ")
    return "one of " + ", ".join(field.alias or name for name, field in model.model_fields.items())

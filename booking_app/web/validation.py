"""What is wrong with the values of a request, as a list: `{pointer, code, detail}` in the body,
`{in, name, code, detail}` in its query and headers.

marshmallow tells each error at its place, but as a sentence only. `with_codes` makes those
sentences know the word by which programs tell errors apart.
"""

from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any

import marshmallow as ma
from marshmallow import fields, validate

from booking_app.core.errors import Invalid, Path
from booking_app.web.fields import ByType, Coded

ERRORS_SHOWN = 20
NAME_SHOWN = 100
BODY = "body"
# Where webargs finds values, as a problem says it.
PLACES = {"json": BODY, "headers": "header"}
VALIDATORS: dict[type[validate.Validator], str] = {
    validate.Length: "invalid_length",
    validate.Range: "out_of_range",
    validate.OneOf: "not_a_choice",
    validate.Regexp: "invalid_format",
}
# JSON schema of one error.
ERROR_SCHEMA = {
    "type": "object",
    "description": "A value that is not allowed: in the body by `pointer`, elsewhere by `in` and "
    "`name`.",
    "required": ["code", "detail"],
    "properties": {
        "pointer": {
            "type": "string",
            "description": "Where it is in the body, as RFC 6901 has it; empty: the body itself.",
        },
        "in": {"type": "string", "enum": ["query", "header"]},
        "name": {"type": "string", "description": "The query parameter's or header's name."},
        "code": {
            "type": "string",
            "pattern": "^[a-z0-9_]+$",
            "description": "For programs: `required`, `unknown`, `too_long` and so on.",
        },
        "detail": {"type": "string", "description": "For a person to read."},
    },
    "example": {
        "pointer": "/seat_numbers/58",
        "code": "unknown_seat",
        "detail": "The show has no seat Z9.",
    },
}


def with_codes(schema: ma.Schema) -> ma.Schema:
    """The schema, whose errors from now on know their codes: those of its own, of its fields and of
    their validators."""
    schema.error_messages = _coded(schema.error_messages)
    for field in schema.load_fields.values():
        _give_codes(field)
    return schema


def _give_codes(field: fields.Field[Any]) -> None:
    field.error_messages = _coded(field.error_messages)
    for validator in field.validators:
        _give_code(validator)
    parts: tuple[Any, ...] = ()
    if isinstance(field, fields.Nested):
        with_codes(field.schema)
    elif isinstance(field, fields.List):
        parts = (field.inner,)
    elif isinstance(field, fields.Dict):
        parts = (field.key_field, field.value_field)
    elif isinstance(field, ByType):
        parts = tuple(field.alternatives.values())
    for part in parts:
        if part is not None:
            _give_codes(part)


def _coded(messages: Mapping[str, Any]) -> dict[str, Any]:
    return {key: Coded(message, key) for key, message in messages.items()}


def _give_code(validator: Any) -> None:
    code = next((word for kind, word in VALIDATORS.items() if isinstance(validator, kind)), None)
    if code is None:
        return
    for name in ("error", "message_min", "message_max", "message_all", "message_equal"):
        if isinstance(message := getattr(validator, name, None), str):
            setattr(validator, name, Coded(message, code))


def leaves(errors: Any, path: Path = ()) -> Iterator[tuple[Path, str]]:
    """The sentences of marshmallow's errors, each after its path; those about a whole object have
    the path of that."""
    if isinstance(errors, Mapping):
        for key, inner in errors.items():
            yield from leaves(inner, path if key == "_schema" else (*path, key))
    elif isinstance(errors, list | tuple):
        for inner in errors:
            yield from leaves(inner, path)
    else:
        yield path, errors


def told(place: str, errors: Any) -> list[dict[str, str]]:
    """The first of marshmallow's errors of the values in `place` (json, query, headers)."""
    place = PLACES.get(place, place)
    first = islice(leaves(errors), ERRORS_SHOWN)  # a small body must not make a large answer
    return [
        error(place, path, message, getattr(message, "code", "invalid")) for path, message in first
    ]


def of_data(wrong: Invalid) -> list[dict[str, str]]:
    """The first errors of values that only the data shows to be wrong."""
    first = islice(wrong.errors.items(), ERRORS_SHOWN)
    return [error(wrong.place, path, message, wrong.kind) for path, message in first]


def error(place: str, path: Path, message: str, code: str) -> dict[str, str]:
    """One error of a value in the body, the query or a header."""
    if place == BODY:
        where = {"pointer": "".join(f"/{_step(step)}" for step in path)}
    else:
        where = {"in": place, "name": _short(str(path[0]))}
    return where | {"code": code, "detail": str(message)}


def _step(step: str | int) -> str:
    """A name or a position in a JSON pointer (RFC 6901)."""
    return _short(str(step)).replace("~", "~0").replace("/", "~1")


def _short(name: str) -> str:
    """A name as an error repeats it: the caller's own, and so of any length."""
    return f"{name[:NAME_SHOWN]}..." if len(name) > NAME_SHOWN else name

"""What the OpenAPI document says of fields, where apispec alone would say less or another thing."""

from typing import Any

from apispec.ext.marshmallow.openapi import OpenAPIConverter
from marshmallow import fields, validate

from booking_app.web.fields import ByType

INT32_MAX = 2**31 - 1
OF_OBJECTS = {"minLength": "minProperties", "maxLength": "maxProperties"}
OF_ONE_OBJECT = {"minItems": "minProperties", "maxItems": "maxProperties"}


class Converter(OpenAPIConverter):
    """apispec's, which counts the names of an object as if it were a text or a list, and knows only
    what single fields may be: `rules` of a schema says how they go together."""

    def schema2jsonschema(self, schema: Any) -> dict[str, Any]:
        found: dict[str, Any] = super().schema2jsonschema(schema)  # type: ignore[no-untyped-call]
        return found | getattr(schema, "rules", {})

    def field2length(self, field: fields.Field[Any], **kwargs: Any) -> dict[str, Any]:
        found: dict[str, Any] = super().field2length(field, **kwargs)
        if isinstance(field, fields.Dict):
            return {OF_OBJECTS[name]: count for name, count in found.items()}
        if isinstance(field, fields.Nested) and not field.many:
            return {OF_ONE_OBJECT[name]: count for name, count in found.items()}
        return found

    def field2pattern(self, field: fields.Field[Any], **kwargs: Any) -> dict[str, Any]:
        found: dict[str, Any] = super().field2pattern(field, **kwargs)
        # ECMAScript, in which patterns of a document are, has these for Python's.
        return {
            name: pattern.replace(r"\A", "^").replace(r"\Z", "$") for name, pattern in found.items()
        }


def by_type(converter: Any, field: fields.Field[Any], **kwargs: Any) -> dict[str, Any]:
    """The schemas of the alternatives of a `ByType`."""
    if not isinstance(field, ByType):
        return {}
    found = [converter.field2property(one) for one in field.alternatives.values()]
    return {"anyOf": [*found, {"type": "null"}] if field.allow_none else found}


def number_format(converter: Any, field: fields.Field[Any], **kwargs: Any) -> dict[str, Any]:
    """How large a variable a client needs for a number: int64 for what has no bound, as ids."""
    if isinstance(field, fields.Integer):
        bounds = [one.max for one in field.validators if isinstance(one, validate.Range)]
        large = any(bound is None or bound > INT32_MAX for bound in bounds)
        return {"format": "int64" if large else "int32"}
    return {"format": "double"} if isinstance(field, fields.Float) else {}


ATTRIBUTES = (by_type, number_format)

"""Examples of answers for the OpenAPI document: each made of its schema, with values that could be
of one evening at one cinema."""

from collections.abc import Mapping
from typing import Any

BY_FORMAT = {"date-time": "2030-01-31T20:00:00Z", "date": "2030-01-31", "uri": "https://x.org"}
BY_TYPE: dict[str, Any] = {"string": "text", "integer": 1, "number": 0.5, "boolean": False}
# By the name of a property, for those whose type alone would say little.
BY_NAME: dict[str, Any] = {
    "access": "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiI3In0.c2lnbmF0dXJl",
    "refresh": "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiI3In0.b3RoZXIgb25l",
    "action": "movie.changed",
    "actor_name": "staff",
    "address": "192.0.2.1",
    "after": {"title": "The Third Man"},
    "age_rating": "12",
    "available_seats": 42,
    "before": {"title": "The third man"},
    "beside": None,
    "block": "",
    "cancelled_seat_numbers": [],
    "category": "standard",
    "cinema_name": "Main cinema",
    "city": "Wien",
    "code": None,
    "currency": "EUR",
    "day_starts_at": "06:00",
    "description": "A writer looks for his friend in Vienna.",
    "detail": None,
    "director": "Carol Reed",
    "duration_minutes": 104,
    "email": "alice@example.org",
    "external_id": "tt0041959",
    "format": "2D",
    "genres": ["Film noir", "Thriller"],
    "label": "B",
    "language": "English",
    "max_seats_per_account": 10,
    "movie_title": "The Third Man",
    "name": "Great hall",
    "note": "With an introduction",
    "number": "5",
    "occupancy": 0.4211,
    "original_title": None,
    "out_of_order": [],
    "poster_url": "https://example.com/poster.jpg",
    "prices": {"vip": "12.50"},
    "reason": "For the press",
    "request_id": "7778d2a0",
    "screen_name": "Great hall",
    "seat_number": "B5",
    "seat_numbers": ["B5"],
    "sort_title": "Third Man",
    "subtitles": None,
    "timezone": "Europe/Vienna",
    "title": "The Third Man",
    "total_seats": 120,
    "trailer_url": "https://example.com/trailer",
    "user_agent": "Firefox",
    "username": "alice",
    "year": 1949,
}


def example_of(
    schema: Mapping[str, Any], schemas: Mapping[str, Mapping[str, Any]], name: str = ""
) -> Any:
    """A value that `schema` allows; `schemas` are those that it may refer to."""
    if "$ref" in schema:
        return example_of(schemas[schema["$ref"].rpartition("/")[2]], schemas)
    if "anyOf" in schema:
        return example_of(schema["anyOf"][0], schemas, name)
    types = schema.get("type", "object")
    kind = types if isinstance(types, str) else types[0]
    value: Any
    if "example" in schema or "enum" in schema:
        value = schema.get("example", schema.get("enum", [None])[0])
    elif name in BY_NAME and _fits(BY_NAME[name], types):
        value = BY_NAME[name]
    elif kind == "object":
        properties = schema.get("properties", {})
        value = {key: example_of(inner, schemas, key) for key, inner in properties.items()}
    elif kind == "array":
        value = [example_of(schema["items"], schemas)]
    else:
        value = BY_FORMAT.get(schema.get("format", ""), BY_TYPE[kind])
    return value


def _fits(value: Any, types: str | list[str]) -> bool:
    kinds = {str: "string", int: "integer", float: "number", list: "array", dict: "object"}
    return kinds.get(type(value), "null") in ([types] if isinstance(types, str) else types)

"""The JSON of the whole application, by orjson."""

from typing import Any

import orjson
from flask import Response
from flask.json.provider import JSONProvider


class OrjsonProvider(JSONProvider):
    """JSON of the whole app."""

    def dumps(self, obj: Any, **kwargs: Any) -> str:
        # The errors of a list are by position, and a position is no text.
        return orjson.dumps(obj, option=orjson.OPT_NON_STR_KEYS).decode()

    def loads(self, s: str | bytes, **kwargs: Any) -> Any:
        return orjson.loads(s)

    def response(self, *args: Any, **kwargs: Any) -> Response:
        """The answer with one value, the list of several, or the object of those with names."""
        if args and kwargs:
            raise TypeError("values come with names or without, not both")
        value = args[0] if len(args) == 1 else args or kwargs or None
        return Response(orjson.dumps(value), mimetype="application/json")

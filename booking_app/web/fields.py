"""Fields of the wire, strict where marshmallow's own are lenient.

marshmallow's Integer takes "5", "٥" and 5.0 for 5, its Boolean takes "yes", its String takes
a NUL that PostgreSQL can't keep. Each field here takes one form and names it when refusing.
"""

import re
import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from itertools import combinations
from operator import attrgetter, itemgetter
from typing import Any, Self

import marshmallow as ma
from marshmallow import fields, validate

from booking_app.core.formats import decimal_string, iso, local_iso

INT64_MAX = 2**63 - 1
# RFC 3339, section 5.6: the seconds are there, in any number of digits; 60 is a leap second.
RFC3339 = r"([0-9]{4}-[0-9]{2}-[0-9]{2})[Tt]([01][0-9]|2[0-3]):[0-5][0-9]:([0-5][0-9]|60)"
RFC3339 += r"(\.[0-9]+)?([Zz]|[+-]([01][0-9]|2[0-3]):[0-5][0-9])"
SPACES_TRIMMED = 100
VISIBLE = "LMNPS"  # letters, marks, numbers, punctuation, symbols
# The last two code points of each plane. U+FFFE and U+FFFF can't stand in XML, so not in a picture.
PLANES_ENDS = "".join(f"{chr(end - 1)}{chr(end)}" for end in range(0xFFFF, 0x110000, 0x10000))
# C0, DEL, C1; surrogates, which have no UTF-8; and Unicode's noncharacters.
CONTROL = re.compile(f"[\x00-\x1f\x7f-\x9f\ud800-\udfff\ufdd0-\ufdef{PLANES_ENDS}]")
# What the document says of it: written so that the regular expressions of all languages read it.
PATTERN = r"^[^\x00-\x1f\x7f-\x9f]*$"
MULTILINE_PATTERN = r"^[^\x00-\x08\x0b-\x1f\x7f-\x9f]*$"


def together(
    *, one_of: Sequence[str] = (), not_both: Iterable[tuple[str, str]] = ()
) -> dict[str, Any]:
    """What the document says of a schema of which exactly one of these fields is given, and of
    these pairs no two: in words that generators of clients, which know one type for it, leave out.
    """
    pairs: list[dict[str, Any]] = [
        {"required": list(pair)} for pair in (*combinations(one_of, 2), *not_both)
    ]
    if one_of:
        pairs.append({"not": {"anyOf": [{"required": [name]} for name in one_of]}})
    return {"not": {"anyOf": pairs}}


class Coded(str):
    """A sentence about what is wrong, with the `code` by which programs know it."""

    code: str

    def __new__(cls, text: str, code: str = "invalid") -> Self:
        made = super().__new__(cls, text)
        made.code = code
        return made

    def format(self, *args: Any, **kwargs: Any) -> Self:
        """The sentence with its values, and still with its code."""
        return type(self)(super().format(*args, **kwargs), self.code)


class Text(fields.String):
    """Text without control characters and noncharacters, trimmed; `max_length` counts characters.

    Text that shows nothing, of spaces and invisible characters alone, is refused.
    """

    default_error_messages = {
        "control_characters": "Must not contain control characters.",
        "blank": "Must not be blank.",
        "too_long": "Must have at most {max} characters.",
    }

    def __init__(self, *, max_length: int, multiline: bool = False, **kwargs: Any) -> None:
        # The lengths are checked here, after trimming; the validator states them in the document.
        pattern = MULTILINE_PATTERN if multiline else PATTERN
        metadata = {"pattern": pattern} | kwargs.pop("metadata", {})
        length = validate.Length(min=1, max=max_length)
        super().__init__(validate=length, metadata=metadata, **kwargs)
        self.max_length = max_length
        self.allowed = "\n\t" if multiline else ""

    def _deserialize(self, value: Any, attr: Any, data: Any, **kwargs: Any) -> str:
        text = super()._deserialize(value, attr, data, **kwargs)
        if len(text) > self.max_length + SPACES_TRIMMED:  # before anything looks at each of them
            raise self.make_error("too_long", max=self.max_length)
        if any(c not in self.allowed for c in CONTROL.findall(text)):
            raise self.make_error("control_characters")
        text = text.strip()
        if not any(unicodedata.category(c)[0] in VISIBLE for c in text):
            raise self.make_error("blank")
        if len(text) > self.max_length:
            raise self.make_error("too_long", max=self.max_length)
        return text


def whole(value: Any) -> Any:
    """A JSON number without a fraction as a Python int: 2017.0 is 2017, as it is to those who
    write no other numbers (JSON Schema, `integer`). Anything else as it is."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def optional_text(max_length: int, multiline: bool = False, description: str = "") -> Text:
    """Text, or null for none."""
    metadata = {"description": description} if description else {}
    return Text(max_length=max_length, multiline=multiline, allow_none=True, metadata=metadata)


class StrictInteger(fields.Integer):
    """A whole JSON number from `low` to `high`; in a query its ASCII digits."""

    default_error_messages = {"invalid": "Must be a whole number."}

    def __init__(
        self, low: int, high: int = INT64_MAX, *, query: bool = False, **kwargs: Any
    ) -> None:
        super().__init__(validate=validate.Range(min=low, max=high), **kwargs)
        self.query = query

    def _deserialize(self, value: Any, attr: Any, data: Any, **kwargs: Any) -> int:
        if self.query and isinstance(value, str) and re.fullmatch(r"-?[0-9]{1,19}", value):
            return int(value)
        number = whole(value)
        if self.query or type(number) is not int:  # a bool is an int too
            raise self.make_error("invalid")
        return number


class StrictBoolean(fields.Boolean):
    """A JSON true or false; in a query the words."""

    default_error_messages = {"invalid": "Must be true or false."}

    def __init__(self, *, query: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.words: Mapping[Any, bool] = {"true": True, "false": False} if query else {}

    def _deserialize(self, value: Any, attr: Any, data: Any, **kwargs: Any) -> bool:
        if isinstance(value, str) and value in self.words:
            return self.words[value]
        if self.words or not isinstance(value, bool):
            raise self.make_error("invalid")
        return value


# A sum of amounts, which may have more digits than one that is read.
SUM = {"pattern": r"^[0-9]{1,19}(\.[0-9]{2,4})?$"}


class Money(fields.Field[Decimal]):
    """An amount as a decimal string on the wire. What is read is a Decimal, since its currency is
    not known yet; `AnswerSchema` writes minor units of the `currency` that their object names."""

    default_error_messages = {"invalid": 'Must be a decimal string such as "9.50".'}
    pattern = r"[0-9]{1,9}(\.[0-9]{1,4})?"

    def __init__(self, **kwargs: Any) -> None:
        metadata = {"pattern": f"^{self.pattern}$", "example": "9.50"} | kwargs.pop("metadata", {})
        super().__init__(metadata=metadata, **kwargs)

    def _serialize(self, value: Decimal | None, attr: Any, obj: Any, **kwargs: Any) -> str | None:
        return None if value is None else f"{value:f}"

    def _deserialize(self, value: Any, attr: Any, data: Any, **kwargs: Any) -> Decimal:
        if not isinstance(value, str) or not re.fullmatch(self.pattern, value):
            raise self.make_error("invalid")
        return Decimal(value)


class Instant(fields.Field[datetime]):
    """RFC 3339 on the wire, an aware datetime in UTC inside; beyond microseconds it is cut off."""

    default_error_messages = {
        "invalid": "Must be a time with an offset, such as 2030-01-31T20:00:00Z."
    }

    def _serialize(self, value: datetime | None, attr: Any, obj: Any, **kwargs: Any) -> str | None:
        return None if value is None else iso(value)

    def _deserialize(self, value: Any, attr: Any, data: Any, **kwargs: Any) -> datetime:
        found = re.fullmatch(RFC3339, value) if isinstance(value, str) else None
        if found is None:
            raise self.make_error("invalid")
        leaps = found[3] == "60"
        try:
            if leaps:  # Python has no such second: it is the one after :59
                value = f"{value[: found.start(3)]}59{value[found.end(3) :]}"
            instant = datetime.fromisoformat(value.upper()).astimezone(UTC)
            if leaps and (instant.hour, instant.minute) != (23, 59):
                raise self.make_error("invalid")
            return instant + timedelta(seconds=leaps)
        except (ValueError, OverflowError) as error:  # OverflowError: the year 0 in UTC
            raise self.make_error("invalid") from error


class LocalInstant(Instant):
    """An instant in an answer once more, by the clocks of the `timezone` that its object names.
    `of` is the attribute; marshmallow lets two fields have the same only where one is read-only,
    which the document would then say of an answer."""

    def __init__(self, of: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.of = of


class Items(fields.List[Any]):
    """A list of at most `max_length` items, counted before any of them is looked at."""

    default_error_messages = {"too_many": "Must have at most {max} items."}

    def __init__(
        self, inner: Any, *, max_length: int, min_length: int | None = None, **kwargs: Any
    ) -> None:
        length = validate.Length(min=min_length, max=max_length)
        super().__init__(inner, validate=length, **kwargs)
        self.max_length = max_length

    def _deserialize(self, value: Any, attr: Any, data: Any, **kwargs: Any) -> list[Any]:
        if isinstance(value, list) and len(value) > self.max_length:
            raise self.make_error("too_many", max=self.max_length)
        return super()._deserialize(value, attr, data, **kwargs)


class ByType(fields.Field[Any]):
    """One of several fields, by the JSON type of the value; `told` is said of any other."""

    def __init__(
        self, alternatives: Mapping[type, fields.Field[Any]], *, told: str, **kwargs: Any
    ) -> None:
        super().__init__(error_messages={"invalid": told}, **kwargs)
        self.alternatives = alternatives

    def for_value(self, value: Any) -> fields.Field[Any] | None:
        """The field that reads `value`."""
        return self.alternatives.get(type(whole(value)))

    def _deserialize(self, value: Any, attr: Any, data: Any, **kwargs: Any) -> Any:
        field = self.for_value(value)
        if field is None:
            raise self.make_error("invalid")
        return field.deserialize(value)


class Day(fields.Field[date]):
    """A day such as 2030-01-31."""

    default_error_messages = {"invalid": "Must be a day such as 2030-01-31."}

    def _serialize(self, value: date | None, attr: Any, obj: Any, **kwargs: Any) -> str | None:
        return None if value is None else value.isoformat()

    def _deserialize(self, value: Any, attr: Any, data: Any, **kwargs: Any) -> date:
        if not isinstance(value, str) or not re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", value):
            raise self.make_error("invalid")
        try:
            return date.fromisoformat(value)
        except ValueError as error:
            raise self.make_error("invalid") from error


class SeatLabel(Text):
    """A seat's label. A whole number is taken for its digits: 5 means "5"."""

    def _deserialize(self, value: Any, attr: Any, data: Any, **kwargs: Any) -> str:
        number = whole(value)
        if type(number) is int:
            value = str(number)
        return super()._deserialize(value, attr, data, **kwargs)


class SeatLabels(Items):
    """Seats, each named once, by labels of at most `longest` characters."""

    def __init__(
        self, *, longest: int, max_length: int, min_length: int = 1, **kwargs: Any
    ) -> None:
        metadata = {"uniqueItems": True} | kwargs.pop("metadata", {})
        super().__init__(
            SeatLabel(max_length=longest),
            max_length=max_length,
            min_length=min_length,
            metadata=metadata,
            **kwargs,
        )

    def _deserialize(self, value: Any, attr: Any, data: Any, **kwargs: Any) -> list[Any]:
        labels = super()._deserialize(value, attr, data, **kwargs)
        if len(set(labels)) < len(labels):
            raise ma.ValidationError(Coded("Names a seat twice.", "repeated"))
        return labels


def _reader(of: Callable[..., Any], keys: Sequence[str]) -> Callable[[Any], Sequence[Any]]:
    """A function that reads all the keys of a thing, by `attrgetter` or `itemgetter`."""
    if len(keys) > 1:
        read: Callable[[Any], Sequence[Any]] = of(*keys)
        return read
    return lambda item: [of(key)(item) for key in keys]  # those read one without a tuple


class AnswerSchema(ma.Schema):
    """Base of the schemas of answers: dumps mappings and objects by their attributes.

    Most values are JSON already and are copied; only Money, Instant and nested answers are
    converted. marshmallow's own dump, which looks each attribute up by five ways and calls
    each field, made up half of the time of a list of films.
    """

    # Day too: orjson writes a date as it is read.
    _plain = (
        fields.String,
        fields.Integer,
        fields.Boolean,
        fields.Float,
        fields.List,
        fields.Dict,
        Day,
    )

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        columns = {name: self._attribute(name, one) for name, one in self.dump_fields.items()}
        self._names = list(columns)
        self._of_object = _reader(attrgetter, list(columns.values()))
        self._of_mapping = _reader(itemgetter, list(columns.values()))
        self._converted = [
            (name, convert)
            for name, one in self.dump_fields.items()
            if (convert := self._converter(one))
        ]
        self._amounts = [
            (name, self._amount_converter(one))
            for name, one in self.dump_fields.items()
            if self._is_money(one)
        ]
        self._local = [
            name for name, one in self.dump_fields.items() if isinstance(one, LocalInstant)
        ]

    def dump(self, obj: Any, *, many: bool | None = None) -> Any:
        if self.many if many is None else many:
            return [None if item is None else self._one(item) for item in obj]
        return self._one(obj)

    def _one(self, item: Any) -> dict[str, Any]:
        is_mapping = isinstance(item, Mapping)
        values = self._of_mapping(item) if is_mapping else self._of_object(item)
        dumped = dict(zip(self._names, values, strict=True))
        for name, convert in self._converted:
            dumped[name] = convert(dumped[name])
        if self._amounts:
            currency = item["currency"] if is_mapping else item.currency
            for name, amount in self._amounts:
                dumped[name] = amount(dumped[name], currency)
        for name in self._local:
            timezone = item["timezone"] if is_mapping else item.timezone
            dumped[name] = local_iso(dumped[name], timezone)
        return dumped

    @staticmethod
    def _attribute(name: str, one: fields.Field[Any]) -> str:
        return one.of if isinstance(one, LocalInstant) else one.attribute or name

    @staticmethod
    def _is_money(one: fields.Field[Any]) -> bool:
        return isinstance(one.value_field if isinstance(one, fields.Dict) else one, Money)

    @staticmethod
    def _amount_converter(one: fields.Field[Any]) -> Any:
        """A function of minor units, or of them by name, and their currency."""
        if isinstance(one, fields.Dict):
            return lambda amounts, currency: {
                name: decimal_string(amount, currency) for name, amount in amounts.items()
            }
        return decimal_string

    def _converter(self, one: fields.Field[Any]) -> Any:
        if self._is_money(one):
            return None  # converted afterwards, by its currency
        if isinstance(one, fields.Nested):
            dump = one.schema.dump
            return (lambda value: value and dump(value)) if one.allow_none else dump
        if isinstance(one, fields.List) and isinstance(one.inner, fields.Nested):
            schema = one.inner.schema
            return lambda items: schema.dump(items, many=True)
        if isinstance(one, LocalInstant):
            return None  # converted afterwards, by its time zone
        if isinstance(one, Instant):
            return lambda value: None if value is None else iso(value)
        if isinstance(one, self._plain):
            return None
        raise TypeError(f"no way to dump {one!r}")

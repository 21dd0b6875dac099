"""The change of a screen on the wire, and the shows that its seat plan then reaches or does not."""

from typing import Any

from marshmallow import fields, validate

from booking_app.catalog.models import KEPT_BECAUSE, LABELS_TOLD
from booking_app.catalog.schemas import Screen, ScreenPatch
from booking_app.web.fields import AnswerSchema, Instant, StrictBoolean, StrictInteger


class ScreenChange(ScreenPatch):
    apply_to_unsold_shows = StrictBoolean(
        metadata={"description": "Give the plan to the shows to come without sold or held seats."}
    )
    dry_run = StrictBoolean(metadata={"description": "Write nothing, and answer the same."})


def _first_labels(attribute: str) -> fields.Field[Any]:
    return fields.List(
        fields.String(),
        required=True,
        attribute=attribute,
        metadata={"description": f"The first {LABELS_TOLD} of them."},
    )


class ChangedShow(AnswerSchema):
    """A show to come that takes the plan."""

    show = StrictInteger(1, required=True, attribute="show_id")
    movie_title = fields.String(required=True)
    date_time = Instant(required=True, attribute="starts_at")
    seats_won = fields.Integer(required=True)
    won_seat_numbers = _first_labels("first_won")
    seats_lost = fields.Integer(required=True)
    lost_seat_numbers = _first_labels("first_lost")
    seats_changed = fields.Integer(
        required=True,
        metadata={"description": "That stay, with another kind, category, place or block."},
    )
    unblocked_seat_numbers = fields.List(
        fields.String(),
        required=True,
        attribute="unblocked",
        metadata={"description": "Of the lost seats, those that the house kept."},
    )


class KeptShow(AnswerSchema):
    """A show to come that keeps the seats it has."""

    show = StrictInteger(1, required=True, attribute="show_id")
    movie_title = fields.String(required=True)
    date_time = Instant(required=True, attribute="starts_at")
    code = fields.String(required=True, validate=validate.OneOf(KEPT_BECAUSE))
    detail = fields.String(required=True)
    seats_taken = fields.Integer(
        required=True, metadata={"description": "How many are sold or held."}
    )
    taken_seat_numbers = _first_labels("first_taken")


class StillSold(AnswerSchema):
    """Seats out of order that a show to come has sold or holds."""

    show = StrictInteger(1, required=True, attribute="show_id")
    date_time = Instant(required=True, attribute="starts_at")
    seat_numbers = fields.List(fields.String(), required=True, attribute="labels")


class ChangedScreen(Screen):
    still_sold = fields.List(
        fields.Nested(StillSold),
        required=True,
        metadata={"description": "Seats out of order from now on that shows to come have sold."},
    )
    shows_changed = fields.List(
        fields.Nested(ChangedShow),
        required=True,
        metadata={"description": "With `apply_to_unsold_shows`: the shows that take the plan."},
    )
    shows_kept = fields.List(
        fields.Nested(KeptShow),
        required=True,
        metadata={"description": "With `apply_to_unsold_shows`: those that don't, and why."},
    )

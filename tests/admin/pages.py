"""What the tests of the admin site's pages share."""

from typing import Any

from booking_app.audit.models import AuditEvent
from tests.admin_site import table
from tests.conftest import rows

PLAN = [{"label": "A", "seats": 4, "category": "standard", "gaps": [], "accessible": []}]
VIENNA = "Europe/Vienna"


def written(action: str) -> list[Any]:
    """The audit's rows of that action."""
    return [row for row in rows(AuditEvent) if row.action == action]


def told(event: Any) -> tuple[Any, ...]:
    """What an event says of who did what."""
    return (event.action, event.actor_name, event.address, event.before, event.after)


def titles(answer: Any) -> list[str]:
    return [row[0] for row in table(answer)]

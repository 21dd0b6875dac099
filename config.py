"""Every setting: its variable, its default, what it means and what it may be.

`load()` reads the environment once. A wrong value ends the start with one line
that names the variable, the value (never a secret's) and what is allowed.
"""

import os
import re
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from babel import localedata
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

INSTANCE = Path(__file__).parent / "instance"
MIN_SECRET_BYTES = 32


class InvalidSetting(SystemExit):
    """A setting has a value that can't be used. Uncaught, it ends the process with its one line."""


@dataclass(frozen=True)
class Setting:
    """One environment variable. `parse` raises ValueError, saying what is allowed."""

    name: str
    default: str
    meaning: str
    parse: Callable[[str], Any]
    secret: bool = False


def _whole(low: int, high: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        if not re.fullmatch(r"[0-9]{1,9}", text) or not low <= int(text) <= high:
            raise ValueError(f"a whole number from {low} to {high}")
        return int(text)

    return parse


def _switch(text: str) -> bool:
    switches = {"1": True, "on": True, "true": True, "0": False, "off": False, "false": False}
    if text.lower() not in switches:
        raise ValueError("1/0, on/off or true/false")
    return switches[text.lower()]


def _timezone(text: str) -> str:
    try:
        ZoneInfo(text)
    except (KeyError, OSError, ValueError) as error:  # OSError: a folder such as "Europe"
        raise ValueError("an IANA time zone such as Europe/Berlin") from error
    return text


def _currency(text: str) -> str:
    if not re.fullmatch(r"[A-Z]{3}", text):
        raise ValueError("an ISO 4217 code of three capital letters such as EUR")
    return text


def _locale(text: str) -> str:
    if not localedata.exists(text):
        raise ValueError("a locale of the Unicode CLDR such as en, de or de_AT")
    return text


def _host(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9.:\[\]_-]+", text):
        raise ValueError("a host name or address such as 127.0.0.1")
    return text


def _redis_url(text: str) -> str:
    if text and not re.fullmatch(r"rediss?://[^\s/]+(/[0-9]*)?(\?\S*)?|unix:///\S+", text):
        raise ValueError("redis://HOST:PORT/NUMBER, rediss:// or unix://")
    return f"redis+{text}" if text.startswith("unix:") else text


def _origins(text: str) -> tuple[str, ...]:
    origins = tuple(origin.strip().lower() for origin in text.split(",") if origin.strip())
    if not all(re.fullmatch(r"https?://[a-z0-9.-]+(:[0-9]{1,5})?", origin) for origin in origins):
        raise ValueError("origins such as https://shop.example.org, with commas between them")
    return origins


def database_url(text: str) -> str:
    """The address as the application uses it; raises ValueError, saying what is allowed."""
    allowed = "sqlite:///FILE or postgresql://USER:PASSWORD@HOST/DATABASE"
    try:
        url = make_url(text)
    except (ArgumentError, ValueError) as error:
        raise ValueError(allowed) from error
    backend = url.get_backend_name()
    if backend == "sqlite" and url.drivername in ("sqlite", "sqlite+pysqlite"):
        if url.database in (None, "", ":memory:"):
            raise ValueError(f"{allowed}; a database in memory can't be shared by workers")
        return text
    if url.drivername in ("postgres", "postgresql", "postgresql+psycopg"):
        url = url.set(drivername="postgresql+psycopg")
        return url.render_as_string(hide_password=False)
    raise ValueError(allowed)


def _pooler(text: str) -> str:
    if text not in ("none", "transaction"):
        raise ValueError("none or transaction")
    return text


def _secret_key(text: str) -> str:
    return _previous_key(text) or _own_secret_key()


def _previous_key(text: str) -> str:
    if text and len(text.encode()) < MIN_SECRET_BYTES:
        raise ValueError(f"at least {MIN_SECRET_BYTES} bytes")
    return text


def _own_secret_key() -> str:
    """The key in instance/secret_key, made on first use, also by several processes at once."""
    path = INSTANCE / "secret_key"
    INSTANCE.mkdir(exist_ok=True)
    if not path.exists():
        draft = INSTANCE / f".secret_key.{secrets.token_hex(8)}"
        draft.touch(mode=0o600)
        draft.write_text(secrets.token_hex(MIN_SECRET_BYTES))
        try:
            os.link(draft, path)  # fails where another process was first: then its key is ours
        except FileExistsError:
            pass
        finally:
            draft.unlink()
    key = path.read_text().strip()
    if len(key.encode()) < MIN_SECRET_BYTES:
        raise ValueError(f"at least {MIN_SECRET_BYTES} bytes; {path} holds fewer")
    return key


SETTINGS = (
    Setting(
        "DATABASE_URL",
        f"sqlite:///{INSTANCE / 'booking.db'}",
        "where the data is: `sqlite:///FILE` (a relative one is in `instance/`) or "
        "`postgresql://USER:PASSWORD@HOST/DATABASE`",
        database_url,
        secret=True,
    ),
    Setting(
        "DATABASE_POOLER",
        "none",
        "`transaction`: PgBouncer in transaction mode stands in front of PostgreSQL",
        _pooler,
    ),
    Setting(
        "SECRET_KEY",
        "",
        "signs the tokens and the admin site's cookies; at least 32 bytes. Left out, one is made "
        "at random and kept in `instance/secret_key`",
        _secret_key,
        secret=True,
    ),
    Setting(
        "SECRET_KEY_PREVIOUS",
        "",
        "the previous key; its tokens stay valid. Set it while you change SECRET_KEY",
        _previous_key,
        secret=True,
    ),
    Setting("HOST", "127.0.0.1", "the address gunicorn listens on", _host),
    Setting("PORT", "8000", "the port gunicorn listens on", _whole(1, 65535)),
    Setting(
        "WEB_CONCURRENCY",
        str(min(2 * (os.cpu_count() or 1), 16)),
        "gunicorn's worker processes; twice the cores, at most 16, if left out",
        _whole(1, 256),
    ),
    Setting(
        "WEB_THREADS",
        "4",
        "threads of each worker, and database connections each keeps",
        _whole(1, 64),
    ),
    Setting(
        "TRUSTED_PROXIES",
        "0",
        "how many proxies in front add to `X-Forwarded-For`, `X-Forwarded-Proto` and "
        "`X-Forwarded-Prefix`; only their entries are believed",
        _whole(0, 10),
    ),
    Setting(
        "CORS_ORIGINS",
        "",
        "origins whose pages may call the API in a browser, with commas between them",
        _origins,
    ),
    Setting("RATELIMIT_ENABLED", "on", "whether calls are counted and limited", _switch),
    Setting(
        "REDIS_URL",
        "",
        "`redis://HOST:PORT/NUMBER`, where all workers and hosts count together",
        _redis_url,
        secret=True,
    ),
    Setting("ACCESS_LOG", "on", "whether gunicorn's log has a line for each request", _switch),
    Setting("DEMO", "on", "whether `make run` loads and stocks the demo catalogue", _switch),
    Setting(
        "TIMEZONE",
        "UTC",
        "IANA time zone that the default cinema is made with; once made, change it by PATCH",
        _timezone,
    ),
    Setting("CURRENCY", "EUR", "ISO 4217 code, for cinemas that name none", _currency),
    Setting("ADMIN_LOCALE", "en", "how the admin site writes amounts of money", _locale),
    Setting("MAX_SEATS_PER_BOOKING", "10", "the most seats one booking may have", _whole(1, 100)),
    Setting(
        "MAX_SEATS_PER_BOOKING_STAFF",
        "100",
        "the same for bookings by staff, and for what they hold; at least MAX_SEATS_PER_BOOKING",
        _whole(1, 100),
    ),
    Setting(
        "COMPANION_RELEASE_MINUTES",
        "60",
        "this long before the start companion seats become seats like others",
        _whole(0, 100_000),
    ),
    Setting("HOLD_MINUTES", "10", "how long a hold lasts", _whole(1, 1440)),
    Setting(
        "HOLD_MAX_MINUTES",
        "30",
        "the most that extending can make of it; at least HOLD_MINUTES",
        _whole(1, 1440),
    ),
    Setting(
        "CANCEL_CUTOFF_MINUTES",
        "0",
        "cancelling closes this many minutes before the show starts",
        _whole(0, 100_000),
    ),
    Setting("ACCESS_TOKEN_MINUTES", "15", "how long an access token is valid", _whole(1, 1440)),
    Setting("REFRESH_TOKEN_DAYS", "7", "how long a refresh token is valid", _whole(1, 365)),
)


def load(environ: Mapping[str, str] | None = None) -> dict[str, Any]:
    """Read every setting from `environ` (the process's own if left out); raises InvalidSetting.

    A variable that is set to nothing counts as left out.
    """
    environ = os.environ if environ is None else environ
    values: dict[str, Any] = {}
    for setting in SETTINGS:
        text = environ.get(setting.name, "").strip() or setting.default
        try:
            values[setting.name] = setting.parse(text)
        except ValueError as error:
            shown = "its value" if setting.secret else repr(text)
            raise InvalidSetting(
                f"{setting.name}: {shown} is not allowed; allowed: {error}"
            ) from error
    if values["HOLD_MAX_MINUTES"] < values["HOLD_MINUTES"]:
        raise InvalidSetting(
            f"HOLD_MAX_MINUTES: '{values['HOLD_MAX_MINUTES']}' is not allowed; "
            f"allowed: at least HOLD_MINUTES, {values['HOLD_MINUTES']}"
        )
    return values

"""How often what may be called: `RULES`, by Flask-Limiter. Over it the answer is 429.

The counters stand in Redis where REDIS_URL is set, else in each worker's memory; where Redis
does not answer, in memory too, until it is back. A window begins with its first call.
"""

import ipaddress
import logging
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Any

from flask import Flask, Response, abort, current_app, request
from flask_limiter import ApplicationLimit, Limiter, RequestLimit
from limits import RateLimitItem
from limits import parse as parse_limit

from booking_app.web import problems
from booking_app.web.headers import client_address

log = logging.getLogger(__name__)

NEVER_LIMITED = "health"  # a blueprint: a busy house must not look like a sick one

REDIS_SECONDS = 0.5  # the longest that each step of a request waits for Redis


@dataclass(frozen=True)
class Rule:
    """At most `amount` calls in so many `minutes`. `failures`: only those answered with 401 count.
    `split`: the workers share the amount out where each counts for itself."""

    calls: str
    amount: int
    minutes: int
    by: str
    failures: bool = False
    split: bool = False


RULES = {
    "all": Rule("all of them together", 6000, 1, "address"),
    "log_in": Rule("log-ins, over the API and to the admin site", 60, 1, "address"),
    "log_in_failures": Rule("log-ins that are refused", 100, 60, "address", failures=True),
    "log_in_name": Rule("log-ins", 10, 1, "account name", split=True),
    "sign_up": Rule("`POST /api/signup/`", 60, 1, "address"),
    "sign_up_name": Rule("`POST /api/signup/`", 10, 1, "account name"),
    "refresh": Rule("`POST /api/token/refresh/`", 120, 1, "address"),
    "password": Rule("`PUT /api/me/password/`", 10, 1, "account", split=True),
    "booking": Rule("book, hold, confirm, extend and cancel together", 300, 1, "account"),
    "refused_body": Rule("bodies that are refused unread", 60, 1, "address or account"),
}


def by_address() -> str:
    """Who calls, by address; a network of IPv6 (/64) is one caller, as it is one customer."""
    return network(client_address())


@lru_cache(maxsize=10_000)
def network(address: str) -> str:
    """What counts as one caller: an address of IPv4, a network of IPv6."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address or "unknown"
    if parsed.version == 6:
        return str(ipaddress.ip_network((parsed, 64), strict=False))
    return address


def _amount(name: str) -> Callable[[], str]:
    def amount() -> str:
        rule = RULES[name]
        count = rule.amount
        if rule.split and not current_app.config["REDIS_URL"]:
            # Never 1: a slip of the pen must not cost a minute.
            count = max(2, math.ceil(count / current_app.config["WEB_CONCURRENCY"]))
        # In minutes, also where it is an hour: shorter units would be looked at first.
        return f"{count} per {rule.minutes} minute"

    return amount


@cache
def _parsed(amount: str) -> RateLimitItem:
    return parse_limit(amount)


def _too_many(breached: RequestLimit) -> Response:
    seconds = max(1, math.ceil(breached.reset_at - time.time()))
    rule = RULES[breached.request_args[1]]
    return problems.problem(
        "rate_limited",
        f"Too many calls for one {rule.by} ({rule.calls.replace('`', '')}): at most "
        f"{breached.limit.amount} in {rule.minutes} min. Ask again in {seconds} s.",
        headers={"Retry-After": str(seconds)},
    )


OF_ALL = _amount("all")


class QuickLimiter(Limiter):
    """Before each request the library looks anew for every limit that could be meant: a fifth of a
    list of films. There is one for all calls, so that one is counted here."""

    def _check_request_limit(
        self, callable_name: str | None = None, in_middleware: bool = True
    ) -> Any:
        if in_middleware and not self._storage_dead:
            if request.blueprint == NEVER_LIMITED:
                return None
            item, key = _parsed(OF_ALL()), [by_address(), "all"]
            try:
                if self.limiter.hit(item, *key):
                    return None
                return _too_many(RequestLimit(self, item, key, True, True))
            except Exception:  # of whatever storage it is; the library knows what to do then
                log.warning("the counters do not answer", exc_info=True)
        return super()._check_request_limit(callable_name, in_middleware)


limiter = QuickLimiter(
    by_address,
    application_limits=[ApplicationLimit(OF_ALL, scope="all")],
    on_breach=_too_many,
    in_memory_fallback_enabled=True,
    swallow_errors=True,  # a failure is counted after the answer is made: too late to fall back
    request_identifier=lambda: request.endpoint or "nothing",  # what is not there counts too
)
limiter.request_filter(lambda: not current_app.config["RATELIMIT_ENABLED"])
limiter.request_filter(lambda: request.blueprint == NEVER_LIMITED)


def limited(name: str, key: Callable[[], str] = by_address) -> Callable[[Any], Any]:
    """Decorator: the rule of this name holds for the view, its calls counted by `key`.

    Below `arguments`, so that what can't be read counts for no name; "refused_body" counts it for
    the address. Of several the lowest is looked at first, and where it refuses, the others don't
    count.
    """
    refused = (lambda response: response.status_code == 401) if RULES[name].failures else None
    return limiter.shared_limit(_amount(name), scope=name, key_func=key, deduct_when=refused)


def reset(name: str) -> None:
    """Count this caller's calls under the rule of this name anew."""
    for counted in limiter.current_limits:
        if counted.request_args[1] == name:
            _ask(limiter.limiter.clear, counted.limit, *counted.request_args)


def refuse_over(name: str, counted_by: str) -> None:
    """Answer 429 where `counted_by` has used up the rule of this name; counts nothing."""
    if not current_app.config["RATELIMIT_ENABLED"]:
        return
    item, key = _parsed(_amount(name)()), [counted_by, name]
    if _ask(limiter.limiter.test, item, *key) is False:
        abort(_too_many(RequestLimit(limiter, item, key, True, True)))


def count(name: str, counted_by: str) -> None:
    """Count one for `counted_by` under the rule of this name."""
    if current_app.config["RATELIMIT_ENABLED"]:
        _ask(limiter.limiter.hit, _parsed(_amount(name)()), counted_by, name)


def _ask(counters: Callable[..., Any], *args: Any) -> Any:
    """What the counters answer; None where they are away just now."""
    try:
        return counters(*args)
    except Exception:  # of whatever storage it is: no call is refused, and nothing undone, for that
        log.warning("the counters do not answer", exc_info=True)
        return None


def init_app(app: Flask) -> None:
    """Set the limiter up, unless it is off."""
    if not app.config["RATELIMIT_ENABLED"]:
        return
    redis_url = app.config["REDIS_URL"]
    app.config["RATELIMIT_STORAGE_URI"] = redis_url or "memory://"
    app.config["RATELIMIT_STORAGE_OPTIONS"] = (
        {"socket_timeout": REDIS_SECONDS, "socket_connect_timeout": REDIS_SECONDS}
        if redis_url
        else {}
    )
    limiter.init_app(app)

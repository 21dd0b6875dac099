"""How often what may be called: `RULES`. Over it the answer is 429; every answer tells what is left
in `RateLimit` (draft-ietf-httpapi-ratelimit-headers).

The counters stand in Redis where REDIS_URL is set, else in each worker's memory; where Redis
does not answer, in memory too, until it is back. A window begins with its first call.
"""

import ipaddress
import logging
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, lru_cache, wraps
from http import HTTPStatus
from typing import Any, TypeVar

from flask import Flask, Response, abort, after_this_request, current_app, request
from limits import RateLimitItemPerMinute
from limits.errors import StorageError
from limits.storage import MemoryStorage, storage_from_string
from limits.strategies import FixedWindowRateLimiter

from booking_app.web import problems
from booking_app.web.headers import client_address, may_be_kept

log = logging.getLogger(__name__)

NEVER_LIMITED = "health"  # a blueprint: a busy house must not look like a sick one

REDIS_SECONDS = 0.5  # the longest that each step of a request waits for Redis
LOOK_AGAIN_SECONDS = 2.0  # how often a Redis that is away is asked again

# Keys of the application's extensions and of a request's environment.
COUNTERS = "booking_app.counters"
COUNTED = "booking_app.counted"

T = TypeVar("T")


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
    "password": Rule(
        "`PUT /api/me/password/` and `PATCH /api/me/` together", 10, 1, "account", split=True
    ),
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


class Counters:
    """The counters of all rules: in Redis, or in memory while Redis does not answer."""

    def __init__(self, redis_url: str) -> None:
        self.memory = FixedWindowRateLimiter(MemoryStorage())
        self.redis: FixedWindowRateLimiter | None = None
        self.redis_away_until = 0.0  # by the monotonic clock; 0.0: it answers
        if redis_url:
            storage = storage_from_string(
                redis_url,
                wrap_exceptions=True,
                socket_timeout=REDIS_SECONDS,
                socket_connect_timeout=REDIS_SECONDS,
            )
            self.redis = FixedWindowRateLimiter(storage)

    def ask(self, question: Callable[[FixedWindowRateLimiter], T]) -> T:
        """What the counters answer."""
        if self.redis is None:
            return question(self.memory)
        if self.redis_away_until:
            now = time.monotonic()
            if now < self.redis_away_until:
                return question(self.memory)
            # One request looks whether it is back; the others count in memory meanwhile.
            self.redis_away_until = now + LOOK_AGAIN_SECONDS
        try:
            answer = question(self.redis)
        except StorageError as error:
            log.warning("Redis does not answer, each worker counts for itself: %s", error)
            self.redis_away_until = time.monotonic() + LOOK_AGAIN_SECONDS
            return question(self.memory)
        self.redis_away_until = 0.0
        return answer


@dataclass(slots=True)  # not frozen, which costs as much as the counting
class Count:
    """The calls of one caller under the rule `name`. `item`: how many are allowed in what time."""

    counters: Counters
    item: RateLimitItemPerMinute
    name: str
    counted_by: str
    key: str  # of the counter
    used: int = 0  # calls of the window, this one too; 0: it does not count

    def hit(self) -> bool:
        """Count one; False where that is more than is allowed."""
        seconds = self.item.get_expiry()
        # As the strategy's own `hit`, which keeps the number to itself.
        self.used = self.counters.ask(lambda by: by.storage.incr(self.key, seconds))
        return self.used <= self.item.amount

    def take_back(self) -> None:
        """Count one less, as if this had not been."""
        key = self.item.key_for(self.counted_by, self.name)
        seconds = self.item.get_expiry()
        self.used = 0
        self.counters.ask(lambda by: by.storage.incr(key, seconds, -1))

    def is_open(self) -> bool:
        """Whether one more is allowed."""
        return self.counters.ask(lambda by: by.test(self.item, self.counted_by, self.name))

    def clear(self) -> None:
        """Count anew."""
        self.used = 0
        self.counters.ask(lambda by: by.clear(self.item, self.counted_by, self.name))

    def seconds_left(self) -> int:
        """How long the window still lasts."""
        ends_at = self.counters.ask(lambda by: by.storage.get_expiry(self.key))
        return max(1, math.ceil(ends_at - time.time()))

    def refusal(self) -> Response:
        """The answer 429."""
        self.used = self.item.amount  # also where this call was not counted any more
        seconds = self.seconds_left()
        rule = RULES[self.name]
        return problems.problem(
            "rate_limited",
            f"Too many calls for one {rule.by} ({rule.calls.replace('`', '')}): at most "
            f"{self.item.amount} in {rule.minutes} min. Ask again in {seconds} s.",
            headers={"Retry-After": str(seconds)},
        )


def _counters() -> Counters | None:
    """None where the limits are off."""
    counters: Counters | None = current_app.extensions.get(COUNTERS)
    return counters


def _counts() -> dict[str, Count]:
    """The counts of this request, by rule."""
    counts: dict[str, Count] = request.environ.get(COUNTED, {})
    return counts


def _count(counters: Counters, name: str, counted_by: str) -> Count:
    rule = RULES[name]
    amount = rule.amount
    if rule.split and counters.redis is None:
        # Never 1: a slip of the pen must not cost a minute.
        amount = max(2, math.ceil(amount / current_app.config["WEB_CONCURRENCY"]))
    item = _item(amount, rule.minutes)
    counted = Count(counters, item, name, counted_by, item.key_for(counted_by, name))
    request.environ.setdefault(COUNTED, {})[name] = counted
    return counted


@cache
def _item(amount: int, minutes: int) -> RateLimitItemPerMinute:
    return RateLimitItemPerMinute(amount, minutes)


# For each view that `limited` made: the view without limits, and its rules. Not noted on the view,
# since other decorators copy what stands there.
_LIMITED: dict[Any, tuple[Any, tuple[tuple[str, Callable[[], str]], ...]]] = {}


def limited(name: str, key: Callable[[], str] = by_address) -> Callable[[Any], Any]:
    """Decorator: the rule of this name holds for the view, its calls counted by `key`.

    Below `arguments`, so that what can't be read counts for no name; "refused_body" counts it for
    the address. Of several the lowest is looked at first, and where it refuses, the others don't
    count.
    """

    def decorator(view: Any) -> Any:
        of_view, rules = _LIMITED.get(view, (view, ()))
        rules = (*rules, (name, key))

        @wraps(of_view)
        def counted(*args: Any, **kwargs: Any) -> Any:
            for rule, caller in rules:
                _check(rule, caller)
            return of_view(*args, **kwargs)

        _LIMITED[counted] = of_view, rules
        return counted

    return decorator


def _check(name: str, key: Callable[[], str]) -> None:
    """Count this request under the rule of this name; answer 429 where no more are allowed."""
    counters = _counters()
    if counters is None:
        return
    counted = _count(counters, name, key())
    if not RULES[name].failures:
        if not counted.hit():
            abort(counted.refusal())
        return
    if not counted.is_open():
        abort(counted.refusal())

    @after_this_request
    def count_failure(response: Response) -> Response:
        if response.status_code == HTTPStatus.UNAUTHORIZED:
            counted.hit()
        return response


def reset(name: str) -> None:
    """Count this caller's calls under the rule of this name anew."""
    counted = _counts().get(name)
    if counted is not None:
        counted.clear()


def uncount(name: str) -> None:
    """Where this request was counted under the rule of this name, count it no more."""
    counted = _counts().get(name)
    if counted is not None and counted.used:
        counted.take_back()


def refuse_over(name: str, counted_by: str) -> None:
    """Answer 429 where `counted_by` has used up the rule of this name; counts nothing."""
    counters = _counters()
    if counters is not None:
        counted = _count(counters, name, counted_by)
        if not counted.is_open():
            abort(counted.refusal())


def count(name: str, counted_by: str) -> None:
    """Count one for `counted_by` under the rule of this name."""
    counters = _counters()
    if counters is not None:
        _count(counters, name, counted_by).hit()


def _count_all() -> Response | None:
    """Count a request, whatever it asks for; the answer where there are too many."""
    counters = _counters()
    if counters is None or request.blueprint == NEVER_LIMITED:
        return None
    counted = _count(counters, "all", by_address())
    return None if counted.hit() else counted.refusal()


def _tell(response: Response) -> Response:
    """Say by which rules the request was counted, and what the tightest of them leaves. That is
    the caller's own, so no answer has it that a cache may give to others."""
    counts = [count for count in _counts().values() if count.used]
    if counts:
        policies = (f'"{it.name}";q={it.item.amount};w={it.item.get_expiry()}' for it in counts)
        response.headers["RateLimit-Policy"] = ", ".join(policies)
        if not may_be_kept(response):
            tightest = min(counts, key=lambda it: it.item.amount - it.used)
            left = max(0, tightest.item.amount - tightest.used)
            value = f'"{tightest.name}";r={left};t={tightest.seconds_left()}'
            response.headers["RateLimit"] = value
    return response


def init_app(app: Flask) -> None:
    """Set the counters up, unless the limits are off."""
    if app.config["RATELIMIT_ENABLED"]:
        app.extensions[COUNTERS] = Counters(app.config["REDIS_URL"])
        app.before_request(_count_all)
        app.after_request(_tell)

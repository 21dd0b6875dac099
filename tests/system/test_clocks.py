"""Who reads a clock of the machine: nothing may depend on the hour, the day or the time zone.

The application goes by the database's clock (`NOW` of core/database.py). Tests pass a time in, ask
`present` of conftest.py, or set the database's clock (`in_2030`, `set_ahead`). Every other use
stands here with its reason.
"""

import ast
import re
from collections.abc import Iterator

import pytest

from tests.serving import ROOT

CLOCKS = {
    *(f"datetime.datetime.{name}" for name in ("now", "utcnow", "today", "fromtimestamp")),
    *(f"datetime.date.{name}" for name in ("today", "fromtimestamp")),
    *(f"time.{name}" for name in ("time", "time_ns", "localtime", "gmtime", "ctime", "strftime")),
    *(f"sqlalchemy.func.{name}" for name in ("now", "current_timestamp", "current_date")),
}
SQL_CLOCK = re.compile(
    r"'now'|\b(now|statement_timestamp|clock_timestamp)\(\)|\bcurrent_(timestamp|date|time)\b", re.I
)
ALLOWED = {
    "booking_app/core/database.py": "the clock that everything else goes by",
    "booking_app/auth/tokens.py": "tokens go by the host's clock",
    "booking_app/web/limits.py": "the counters of the limits go by the host's clock",
    "booking_app/core/sqlite_files.py": "names the file that a restore keeps beside",
    "tests/core/test_backup.py": "such names; real servers",
    "tests/core/test_recovery.py": "a real server, and the moment to recover to",
    "tests/at_time.py": "how far the database's clock is set ahead",
    "tests/auth/test_tokens.py": "tokens that are seconds off, by the host's clock",
    "tests/admin/test_admin_browser.py": "a real server; any day three days ahead is as good",
    "tests/clock_ahead.py": "a host whose clock is wrong",
    "tests/system/test_clocks.py": "examples",
    "tests/system/test_faults.py": "real servers; two days ahead",
    "tests/reports/test_integrity.py": "holds that end while the data is checked",
    "tests/system/test_servers.py": "real servers; the time that a booking was made",
    "tests/system/test_two_releases.py": "real servers of two releases; some days ahead and back",
    "migrations/steps.py": "how long somebody has been in the way of an upgrade",
    "benchmarks/data.py": "real servers; a month ahead",
    "benchmarks/floor.py": "the floor's own; whether a show has begun",
    "benchmarks/growth.py": "a year of shows up to this day, by which the reports are asked for",
}


def clocks_read(source: str) -> Iterator[str]:
    """Each use of a clock, or of the machine's time zone, in a Python source."""
    tree = ast.parse(source)
    names: dict[str, str] = {}
    comments = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {one.asname or one.name: one.name for one in node.names}
        elif isinstance(node, ast.ImportFrom):
            names |= {one.asname or one.name: f"{node.module}.{one.name}" for one in node.names}
        elif isinstance(node, ast.Expr):
            comments.add(node.value)  # such as a docstring

    def dotted(node: ast.AST) -> str:
        if isinstance(node, ast.Attribute):
            return f"{dotted(node.value)}.{node.attr}"
        return names.get(node.id, "") if isinstance(node, ast.Name) else ""

    for node in ast.walk(tree):
        match node:
            case ast.Attribute() | ast.Name() if dotted(node) in CLOCKS:
                yield dotted(node)
            case ast.Call(func=ast.Attribute(attr="astimezone"), args=[], keywords=[]):
                yield "astimezone()"
            case ast.Constant(value=str(text)) if node not in comments:
                yield from (found[0] for found in SQL_CLOCK.finditer(text))


def test_who_reads_a_clock() -> None:
    folders = ("booking_app", "tests", "benchmarks", "migrations")
    paths = [path for folder in folders for path in (ROOT / folder).rglob("*.py")]
    read = {
        str(path.relative_to(ROOT)): found
        for path in (*paths, *ROOT.glob("*.py"))
        if (found := set(clocks_read(path.read_text())))
    }
    unknown = {path: found for path, found in read.items() if path not in ALLOWED}
    assert not unknown, "The top of this file says what to use instead."
    assert set(ALLOWED) == set(read), "These read no clock any more."


@pytest.mark.parametrize(
    ("source", "clock"),
    [
        ("from datetime import datetime\ndatetime.now(UTC)", "datetime.datetime.now"),
        ("import datetime\ndatetime.datetime.utcnow()", "datetime.datetime.utcnow"),
        ("import datetime as dt\ndt.date.today()", "datetime.date.today"),
        ("from datetime import date\ndays = map(date.today)", "datetime.date.today"),
        ("import time\nprint(time.time())", "time.time"),
        ("from time import time\nprint(time())", "time.time"),
        ("moment.astimezone()", "astimezone()"),
        ("import sqlalchemy as sa\nsa.func.now()", "sqlalchemy.func.now"),
        ("execute('SELECT now()')", "now()"),
        ("execute(f\"SELECT {one}, strftime('%s', 'now')\")", "'now'"),
        ("execute('SELECT CURRENT_TIMESTAMP')", "CURRENT_TIMESTAMP"),
    ],
)
def test_it_finds_each_way(source: str, clock: str) -> None:
    assert list(clocks_read(source)) == [clock]


@pytest.mark.parametrize(
    "source",
    [
        "from datetime import datetime\ndatetime(2030, 1, 1)",
        "from datetime import time\ntime.fromisoformat('10:00')",
        "import time\ntime.monotonic()",
        "now.astimezone(zone)",
        'def f():\n    """Not now()."""',
    ],
)
def test_it_leaves_the_rest_alone(source: str) -> None:
    assert list(clocks_read(source)) == []

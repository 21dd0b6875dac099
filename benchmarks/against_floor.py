"""How near is each endpoint to a floor? The application and `floor.py` in turn, under the same
gunicorn, each on its own copy of one database."""

from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from statistics import median

from benchmarks.data import READERS_BOOKINGS, fill
from benchmarks.databases import Databases
from benchmarks.in_process import count_statements, price_of_defences
from benchmarks.load import ENDPOINTS, Server, answer, in_turn
from benchmarks.servers import APPLICATION, FLOOR, HERE, Failure, environment

LEGEND = "Requests a second are medians; a ratio is the median of the rounds' (least to most)."


def bench(databases: Databases, folder: Path, rounds: int, seconds: int) -> None:
    """Measure every endpoint on one kind of database and print its table."""
    environ = environment(databases.create("app"))
    data = fill(HERE, environ, folder / "fill.log", rounds=rounds, seconds=seconds)
    statements = count_statements(environ, data)
    defences = price_of_defences(environ, data)
    copied = databases.copy(environ["DATABASE_URL"], "floor")
    floor_environ = environ | {"DATABASE_URL": copied}
    with ExitStack() as stack:
        url = stack.enter_context(HERE.serve(APPLICATION, environ, folder / "app.log"))
        app = Server(url, environ["DATABASE_URL"], data)
        url = stack.enter_context(HERE.serve(FLOOR, floor_environ, folder / "floor.log"))
        callers = {name: f"X-Session-Id: {data.session(name)}" for name in data.callers}
        floor = Server(url, copied, replace(data, callers=callers))
        compare(app, floor)

        print(f"{'':20}{'app':>8}{'floor':>8}   {'ratio':18}{'SQL statements':>14}", flush=True)
        for endpoint in ENDPOINTS:
            rates = in_turn((app, floor), endpoint, databases, rounds, seconds)
            of_app, of_floor = (median(column) for column in zip(*rates, strict=True))
            ratios = [here / there for here, there in rates]
            ratio = f"{median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"
            print(
                f"{endpoint.name:20}{of_app:8.0f}{of_floor:8.0f}   {ratio:18}"
                f"{statements[endpoint.name]:14}",
                flush=True,
            )
    print(f"in one thread, without gunicorn: {defences}")


def compare(app: Server, floor: Server) -> None:
    """Raises Failure unless both answer the same: a floor that does less is none."""
    for endpoint in ENDPOINTS:
        here, there = (answer(server, endpoint, READERS_BOOKINGS + 2) for server in (app, floor))
        if endpoint.books:  # each server's own booking
            for made in (here, there):
                made |= {name: type(made[name]) for name in ("reference", "created_at")}
        if here != there:
            raise Failure(f"{endpoint.name}: the floor differs.\napp: {here}\nfloor: {there}")

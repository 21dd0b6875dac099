"""How near is each request to a floor? The application and `floor.py` in turn, under the same
gunicorn, each on its own copy of one database."""

from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from statistics import median

from benchmarks.data import add_floor_table, fill
from benchmarks.databases import Databases
from benchmarks.in_process import count_statements, price_of_defences
from benchmarks.load import REQUESTS, SEAT_MAP, Booking, Reading, Request, Server, in_turn
from benchmarks.servers import APPLICATION, FLOOR, HERE, Answer, Failure, ask, environment

LEGEND = (
    "Requests a second are those of the best round, as is the ratio; beside it the median of the "
    "rounds' own ratios."
)


def bench(databases: Databases, folder: Path, rounds: int, seconds: int, lines: list[str]) -> None:
    """Measure these lines of the table on one kind of database, and print them."""
    environ = environment(databases.create("app"))
    data = fill(HERE, environ, folder / "fill.log", rounds=rounds, seconds=seconds)
    statements = count_statements(environ, data)
    defences = price_of_defences(environ, data)
    databases.settle(environ["DATABASE_URL"])
    copied = databases.copy(environ["DATABASE_URL"], "floor")
    floor_environ = environ | {"DATABASE_URL": copied}
    add_floor_table(copied)
    databases.settle(copied)
    with ExitStack() as stack:
        url = stack.enter_context(HERE.serve(APPLICATION, environ, folder / "app.log"))
        app = Server(url, environ["DATABASE_URL"], data)
        url = stack.enter_context(HERE.serve(FLOOR, floor_environ, folder / "floor.log"))
        floor = Server(url, copied, data)

        print(f"{'':22}{'app':>8}{'floor':>8}{'ratio':>8}{'median':>8}{'statements':>12}")
        for name in lines:
            asked, least = on_floor(app, floor, name)
            rates = in_turn([(app, asked), (floor, least)], databases, rounds, seconds)
            of_app, of_floor = (max(column) for column in zip(*rates, strict=True))
            ratio = median(here / there for here, there in rates)
            print(
                f"{name:22}{of_app:8.0f}{of_floor:8.0f}{of_app / of_floor:8.2f}{ratio:8.2f}"
                f"{statements[name]:12}",
                flush=True,
            )
    print(f"in one thread, without gunicorn: {defences}")


def on_floor(app: Server, floor: Server, name: str) -> tuple[Request, Request]:
    """What the application is asked, and what the floor is asked beside it. Raises Failure where
    the two don't answer what they should."""
    request = REQUESTS[name]
    if not isinstance(request, Reading):
        return request, replace(request, body=Booking.body, has_key=False)  # books a named seat
    here = _answer(app, request)
    if request.statuses == "304":
        return replace(request, asked=here.headers["ETag"]), SEAT_MAP
    if request.path in ("/api/movies/", "/api/shows/{show}/"):
        return request, Reading("/constant/{size}", size=len(here.body))
    there = _answer(floor, request)
    if here.body != there.body:
        raise Failure(f"{name}: the floor differs.\napp: {here.body!r}\nfloor: {there.body!r}")
    return request, request


def _answer(server: Server, request: Reading) -> Answer:
    caller = server.data.callers[request.caller] if request.caller else None
    answer = ask(server.url + request.path_on(server.data), None, caller)
    if answer.status != 200:
        raise Failure(f"{server.url}: {answer.status} {answer.body.decode()}")
    return answer

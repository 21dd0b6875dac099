"""How gunicorn serves the application; the numbers are settings, see config.py.

What slow clients and restarts mean for callers: docs/operating.md.
"""

import contextlib
import logging
import runpy
import select
import socket
import struct
import sys
import threading
import time

from gunicorn.workers.gthread import ThreadWorker
from sqlalchemy.engine import make_url

from config import INSTANCE
from config import load as load_settings  # gunicorn has a setting `config` of its own

_settings = load_settings()  # a wrong setting stops the start here, with its one line
# Workers import it themselves, so that after SIGHUP they have the code that is there then.
del sys.modules["config"]

_host = _settings["HOST"].strip("[]")
bind = f"[{_host}]:{_settings['PORT']}" if _host.count(":") > 1 else f"{_host}:{_settings['PORT']}"
workers = _settings["WEB_CONCURRENCY"]
threads = _settings["WEB_THREADS"]
# A worker that has not answered its master for so long is replaced.
timeout = 60
# On SIGTERM, requests in progress have so long to finish.
graceful_timeout = 30
keepalive = 5
# The longest that gunicorn takes; a search may be long, each of its characters up to 12 bytes.
limit_request_line = 8190
# Whom to believe about the client is decided by TRUSTED_PROXIES, in the application.
forwarded_allow_ips = ""
control_socket_disable = True  # nothing here uses it, and two servers would share its path

# The application's own log, with a line for each request (booking_app/web/headers.py).
logging.basicConfig(format="%(asctime)s %(levelname)s %(name)s %(message)s", level=logging.INFO)
# No line tells these, which would be looked up for each.
logging.logThreads = logging.logMultiprocessing = False
logging.getLogger("alembic").setLevel(logging.WARNING)
if not _settings["ACCESS_LOG"]:
    logging.getLogger("booking_app.access").setLevel(logging.WARNING)


def on_starting(server):
    """End the start with one line, before there is a worker, where SQLite's file is malformed, or
    where a pooler in front of PostgreSQL loses the application's settings."""
    # Run, not imported: after SIGHUP the workers must find the code as it is then.
    core = INSTANCE.parent / "booking_app" / "core"
    poolers = runpy.run_path(str(core / "poolers.py"))
    wrong = poolers["hidden_pooler"](_settings["DATABASE_URL"], _settings["DATABASE_POOLER"])
    if wrong:
        raise SystemExit(wrong)
    url = make_url(_settings["DATABASE_URL"])
    if url.get_backend_name() == "sqlite":
        path = INSTANCE / url.database
        if path.parent == INSTANCE:
            INSTANCE.mkdir(exist_ok=True)
        files = runpy.run_path(str(core / "sqlite_files.py"))
        files["hold_in_use"](path)
        files["check"](path)


# How long a request may take to arrive, from its first byte to its last; more than a request may
# wait for the database, so it is over for all that came in time.
READ_SECONDS = 7
SEND_SECONDS = 10  # how long a client may take nothing of its answer
arriving: dict[int, tuple[float, socket.socket]] = {}  # by thread: until when, and from where


class Worker(ThreadWorker):
    """Threads, none of which waits long for a slow client; and a stop that resets no connection."""

    def init_process(self):
        threading.Thread(target=self.end_slow_requests, daemon=True).start()
        super().init_process()

    def handle(self, conn):
        """A request arrives."""
        arriving[threading.get_ident()] = (time.monotonic() + READ_SECONDS, conn.sock)
        try:
            return super().handle(conn)
        finally:
            arriving.pop(threading.get_ident(), None)

    def end_slow_requests(self):
        """Let nothing more arrive where the time is over. The answer can still be sent."""
        while True:
            time.sleep(0.5)
            for ends_at, client in list(arriving.values()):
                if time.monotonic() > ends_at:
                    with contextlib.suppress(OSError):  # it has just ended
                        client.shutdown(socket.SHUT_RD)

    def set_accept_enabled(self, enabled):
        """At a stop accept those who are connected already: closing the listener resets them."""
        super().set_accept_enabled(enabled)
        if not self.alive:
            for listener in self.sockets:
                while select.select([listener], [], [], 0)[0]:
                    self.accept(listener)
                listener.close()


worker_class = Worker


def pre_request(worker, req):
    """The headers have arrived; where no body follows, that is all."""
    has_body = ("CONTENT-LENGTH", "TRANSFER-ENCODING")
    if not any(name in has_body and value != "0" for name, value in req.headers):
        arriving.pop(threading.get_ident(), None)


def pre_fork(server, worker):
    """Set up the listeners; what they accept inherits it."""
    for listener in server.LISTENERS:
        if hasattr(socket, "TCP_DEFER_ACCEPT") and listener.sock.family != socket.AF_UNIX:
            # A client that sends nothing is not accepted, so it can't take a thread.
            listener.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_DEFER_ACCEPT, READ_SECONDS)
        seconds = struct.pack("ll", SEND_SECONDS, 0)
        listener.sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, seconds)


def when_ready(server):
    """Say where to go, once, and what a server that faces the world lacks."""
    server.log.info("Swagger UI: http://%s/swagger/; admin site: http://%s/admin/", bind, bind)
    if _host not in ("localhost", "::1") and not _host.startswith("127."):
        server.log.warning(
            "HOST=%s: put nginx in front (docs/operating.md); here %d clients that send slowly "
            "keep all threads busy for %d s, again and again.",
            _host,
            workers * threads,
            READ_SECONDS,
        )

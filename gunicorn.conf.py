"""How gunicorn serves the application; the numbers are settings, see config.py."""

import logging
import runpy
from pathlib import Path

from config import load as load_settings  # gunicorn has a setting `config` of its own

_settings = load_settings()  # a wrong setting stops the start here, with its one line

_host = _settings["HOST"].strip("[]")
bind = f"[{_host}]:{_settings['PORT']}" if _host.count(":") > 1 else f"{_host}:{_settings['PORT']}"
workers = _settings["WEB_CONCURRENCY"]
worker_class = "gthread"
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
logging.getLogger("alembic").setLevel(logging.WARNING)
if not _settings["ACCESS_LOG"]:
    logging.getLogger("booking_app.access").setLevel(logging.WARNING)


def on_starting(server):
    """End the start with one line where a pooler in front loses the application's settings."""
    # Run, not imported: after SIGHUP the workers must find the code as it is then.
    poolers = runpy.run_path(str(Path(__file__).parent / "booking_app/core/poolers.py"))
    wrong = poolers["hidden_pooler"](_settings["DATABASE_URL"], _settings["DATABASE_POOLER"])
    if wrong:
        raise SystemExit(wrong)


def when_ready(server):
    """Say where to go, once."""
    server.log.info("Swagger UI: http://%s/swagger/; admin site: http://%s/admin/", bind, bind)

"""nginx, as the operators' guide sets it up."""

import os
import re
import shutil
import socket
import subprocess
from pathlib import Path

import pytest

from tests.serving import ROOT, free_port, wait_until

NGINX = shutil.which("nginx")
needs_nginx = pytest.mark.skipif(NGINX is None, reason="nginx is not installed")


def _shown(name: str) -> str:
    """A configuration of the guide."""
    guide = (ROOT / "docs" / "operating.md").read_text()
    found = re.search(rf"<!-- {name} -->\n```nginx\n(.*?)```\n<!-- /{name} -->", guide, re.DOTALL)
    assert found
    return found[1]


class Nginx:
    """nginx, set up as docs/operating.md shows, in front of a port of this machine; under a prefix
    where one is wanted."""

    def __init__(self, folder: Path, upstream_port: int, *, prefixed: bool = False) -> None:
        self.port = free_port()
        shown = _shown("nginx")
        if prefixed:
            whole = re.search(r"    location / \{.*?\n    \}\n", shown, re.DOTALL)
            assert whole
            shown = shown.replace(whole[0], _shown("nginx prefix"))
        for line, here in (
            ("server 127.0.0.1:8000;", f"server 127.0.0.1:{upstream_port};"),
            ("listen 443 ssl;", f"listen 127.0.0.1:{self.port};"),
            ("ssl_certificate /etc/ssl/tickets.pem;", ""),
            ("ssl_certificate_key /etc/ssl/tickets.key;", ""),
        ):
            assert shown.count(line) == 1
            shown = shown.replace(line, here)
        kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        folders = "".join(f"{kind}_temp_path {folder}/{kind};\n" for kind in kinds)
        configuration = folder / "nginx.conf"
        configuration.write_text(
            f"{'user root;' if os.geteuid() == 0 else ''} worker_processes 1;\n"
            f"daemon off; pid {folder}/nginx.pid;\n"
            "events { worker_connections 1024; }\n"
            f"http {{\naccess_log off;\n{folders}{shown}}}\n"
        )
        self.errors = folder / "nginx.log"
        with self.errors.open("ab") as output:
            self.process = subprocess.Popen(
                [str(NGINX), "-p", str(folder), "-c", str(configuration), "-e", "stderr"],
                stdout=output,
                stderr=output,
            )
        wait_until(self.is_up)

    def is_up(self) -> bool:
        try:
            socket.create_connection(("127.0.0.1", self.port), timeout=0.5).close()
        except OSError:
            return False
        return True

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(timeout=30)

"""`python -m tests.pins`: after a version was changed, write the hashes of its files anew."""

import re
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

ROOT = Path(__file__).parent.parent
FILES = tuple(ROOT / folder / "requirements.txt" for folder in ("", "tests", "tests/clients"))
PIN = r"(?P<name>[\w.-]+)(\[\w+\])?==[^\s;]+( *; [^\\]+?)?"


def hashes(requirements: str) -> dict[str, list[str]]:
    """The hashes of every file of each pinned version, by the package's name."""
    flags = ("--universal", "--no-deps", "--generate-hashes", "--no-annotate", "--no-header")
    compiled = subprocess.run(
        [sys.executable, "-m", "uv", "pip", "compile", "-", "--quiet", *flags],
        input=requirements,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    found = defaultdict(list)
    name = ""
    for line in compiled.splitlines():
        if pin := re.match(PIN, line):
            name = normal(pin["name"])
        elif "--hash=" in line:
            found[name].append(line.strip(" \\"))
    return found


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def pinned(text: str) -> str:
    """The requirements with their hashes, in their order and with their comments."""
    lines = [line.rstrip(" \\") for line in text.splitlines() if "--hash=" not in line]
    found = hashes("\n".join(lines))
    written = []
    for line in lines:
        pin = re.fullmatch(PIN, line)
        if pin:
            written.append(" \\\n    ".join([line, *found[normal(pin["name"])]]))
        else:
            written.append(line)
    return "\n".join(written) + "\n"


if __name__ == "__main__":
    for path in FILES:
        path.write_text(pinned(path.read_text()))

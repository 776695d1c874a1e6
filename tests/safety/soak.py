"""`make soak`: a long search for a schedule, or a race of agents, that breaks the property.

It goes on where it was ended: what is done stands in a file, a line for each part. It stops at the
first failure and prints the seed and what is left of the schedule or race when all is dropped that
may be.
"""

from __future__ import annotations

import argparse
import pathlib
import sys
import time

from tests.safety.search import WORLDS, search

PART = 1000
RACES = 100
"""Races of several agents that go with each part."""


def done(path: pathlib.Path, name: str) -> int:
    """How many parts of that name are done."""
    lines = path.read_text("utf-8").splitlines() if path.exists() else []
    return sum(line.split()[0] == name for line in lines if line.strip())


def soak(api: str, kind: str, schedules: int, path: pathlib.Path) -> bool:
    """Search part after part; return False at the first failure."""
    name = api if kind == "schedule" else f"{api}-{kind}"
    for part in range(done(path, name), -(-schedules // PART)):
        begun = time.monotonic()
        try:
            search(kind, api, range(part * PART, (part + 1) * PART))
            if kind == "schedule":
                search("race", api, range(part * RACES, (part + 1) * RACES))
        except AssertionError as error:
            print(f"{name}: part {part} fails:\n{error}", flush=True)
            return False
        seconds = time.monotonic() - begun
        with path.open("a", encoding="utf-8") as file:
            file.write(f"{name} part {part}: {PART} schedules in {seconds:.0f} s\n")
        print(f"{name}: {(part + 1) * PART} schedules, no failure ({seconds:.0f} s)", flush=True)
    return True


def main() -> int:
    """Soak the APIs asked for; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--api", choices=list(WORLDS), action="append")
    parser.add_argument(
        "--witness", action="store_true", help="only those in which the machine itself is asked"
    )
    parser.add_argument("--schedules", type=int, default=100_000, help="for each API")
    parser.add_argument("--state", type=pathlib.Path, default=pathlib.Path("soak.txt"))
    options = parser.parse_args()
    apis = options.api or list(WORLDS)
    kind = "witness" if options.witness else "schedule"
    return 0 if all(soak(api, kind, options.schedules, options.state) for api in apis) else 1


if __name__ == "__main__":
    sys.exit(main())

"""Looks for secrets in what the agent wrote."""

from __future__ import annotations

import pathlib
import subprocess
from collections.abc import Iterable

from tests.harness import text

PIECE = 8
"""Characters of a secret that nothing may show."""


def pieces_shown(secrets: Iterable[str], *written: str) -> list[str]:
    """The pieces of secrets that are in what was written; empty when all is well."""
    pieces = {
        secret[start : start + PIECE]
        for secret in secrets
        for start in range(len(secret) - PIECE + 1)
    }
    return sorted(piece for piece in pieces if any(piece in each for each in written))


def arguments_of(process: subprocess.Popen[str]) -> str:
    """A process's command line as others see it."""
    return text(pathlib.Path(f"/proc/{process.pid}/cmdline").read_bytes())

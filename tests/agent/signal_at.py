"""Runs the agent, and sends it a signal at an exact place.

    python -m tests.agent.signal_at CALL LINE

The place is the LINEth line of Python that the main thread runs in the agent or in `threading`
since the agent began its CALLth exchange with OVH, or the end of that exchange. Where a handler
that raises may hit is a matter of luck otherwise. Standard input is the agent's. With LINE 0 no
signal is sent, and the number of lines of that exchange is the last line on stderr.
"""

from __future__ import annotations

import os
import runpy
import signal
import sys
import threading
from types import FrameType
from typing import Any

from tests.harness import AGENT


class Tracer:
    """Counts lines, and sends the signal."""

    def __init__(self, call: int, line: int) -> None:
        self._calls_left = call
        self._line = line
        self.lines = 0
        self._files = (str(AGENT), threading.__file__)
        self._exchange: FrameType | None = None

    def __call__(self, frame: FrameType, event: str, argument: Any) -> Any:
        """Called by the interpreter at each function of the main thread, then at each line."""
        code = frame.f_code
        if code.co_filename not in self._files:
            return None
        if event == "call" and code.co_name == "exchange":
            self._calls_left -= 1
            if self._calls_left == 0:
                self._exchange = frame
        if event == "return" and frame is self._exchange:
            self._exchange = None
            if self.lines < self._line:  # how many there are depends on the other threads
                os.kill(os.getpid(), signal.SIGTERM)
        if event == "line" and self._exchange is not None:
            self.lines += 1
            if self.lines == self._line:
                os.kill(os.getpid(), signal.SIGTERM)
        return self


def main() -> None:
    """Run the agent."""
    tracer = Tracer(int(sys.argv[1]), int(sys.argv[2]))
    sys.argv = [str(AGENT)]
    sys.settrace(tracer)
    try:
        runpy.run_path(str(AGENT), run_name="__main__")
    finally:
        sys.settrace(None)
        if not tracer._line:
            os.write(2, b"%d\n" % tracer.lines)


if __name__ == "__main__":
    main()

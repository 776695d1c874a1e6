# SPDX-License-Identifier: GPL-2.0-or-later
"""cman's side of a fencing: runs fence agents as libfence does, prints as fence_node does.

cman is packaged no more, and clusters still run it. `python3 -m tests.callers.libfence --help`.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import os
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator, Sequence
from xml.etree.ElementTree import Element

INPUT_LIMIT = 4096
"""Bytes that libfence has room for on an agent's standard input."""

OUTPUT_LIMIT = 64 * 1024
"""Bytes that the pipe for an agent's output holds."""

STATUS_ON, STATUS_OFF = 0, 2

METHODS = {"fence": "fence/method", "status": "fence/method", "unfence": "unfence"}
"""Where a clusternode has its devices."""


@dataclasses.dataclass
class Run:
    """One run of an agent, or why there was none.

    Attributes:
        place: number of the method and of the device in it, counted from 0.
        status: exit status (negative: a signal); None when the agent was not run.
        output: what it wrote to standard output and standard error together.
    """

    place: str
    agent: str = "none"
    args: str = ""
    result: str = ""
    status: int | None = None
    output: str = ""


def main(arguments: Sequence[str] | None = None) -> int:
    """Fence, unfence or ask for the status of a node; return the exit status."""
    options = _parser().parse_args(arguments)
    cluster = ElementTree.parse(options.cluster_conf).getroot()
    node = cluster.find(f"clusternodes/clusternode[@name='{options.node}']")
    methods = [] if node is None else node.findall(METHODS[options.task])
    if node is not None and options.task == "unfence" and not methods:
        return _end(options, 0)  # not configured: nothing to do
    if not methods:
        _show(options, Run("0.0", result="error no method"))
        return _end(options, 1)
    return _end(options, _try_methods(options, cluster, methods))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python3 -m tests.callers.libfence",
        description="Fence a node as cman does: with the methods and devices of cluster.conf.",
        epilog="Exit status: 0 done (status: on), 1 failed, 2 status: off.",
    )
    verbosity = "-v: show results; -vv: and the agent's input; -vvv: and what it wrote"
    parser.add_argument("-v", action="count", default=0, help=verbosity)
    task = parser.add_mutually_exclusive_group()
    for letter, name in (("-U", "unfence"), ("-S", "status")):
        task.add_argument(letter, f"--{name}", dest="task", action="store_const", const=name)
    parser.set_defaults(task="fence")
    parser.add_argument("cluster_conf")
    parser.add_argument("node")
    return parser


def _try_methods(options: argparse.Namespace, cluster: Element, methods: list[Element]) -> int:
    """Try one method after the other until one succeeds, which takes all of its devices."""
    for number, method in enumerate(methods):
        statuses = []
        for run in _runs(options, cluster, number, method):
            _show(options, run)
            statuses.append(run.status)
            if run.result != "success":
                break
        else:
            # A node with two power supplies is off when both are.
            return STATUS_OFF if set(statuses) == {STATUS_OFF} else 0
    return 1


def _runs(
    options: argparse.Namespace, cluster: Element, number: int, method: Element
) -> Iterator[Run]:
    """Run the agents of a method's devices, in their order."""
    devices = method.findall("device")
    if not devices:
        yield Run(f"{number}.0", result="error no device")
    for index, device in enumerate(devices):
        run = Run(f"{number}.{index}")
        name = device.get("name")
        fence_device = cluster.find(f"fencedevices/fencedevice[@name='{name}']")
        if fence_device is None:
            run.result = "error config agent"
        else:
            run.agent = fence_device.get("agent", "none")
            run.args = agent_args(device, options.node, fence_device, options.task)
            _run_agent(run, options.task)
        yield run


def agent_args(device: Element, victim: str, fence_device: Element, task: str) -> str:
    """What an agent gets on standard input. For a status, no action of the file counts."""
    lines = ["action=status\n"] if task == "status" else []
    lines += _lines(device, task)
    if "nodename=" not in "".join(lines):
        lines.append(f"nodename={victim}\n")
    return "".join(lines + _lines(fence_device, task))


def _lines(element: Element, task: str) -> list[str]:
    unsent = ("name", "action") if task == "status" else ("name",)
    return [f"{name}={value}\n" for name, value in element.items() if name not in unsent]


def _run_agent(run: Run, task: str) -> None:
    """Run an agent to its end, however long that takes; its output is not read before."""
    if len(run.args.encode()) > INPUT_LIMIT:
        run.result = "error config args"
        return
    output, agents_end = os.pipe()
    try:
        run.status = _status_of(run.agent, run.args.encode(), agents_end)
        os.set_blocking(output, False)  # what the agent started may still hold its end
        with contextlib.suppress(BlockingIOError):
            run.output = os.read(output, OUTPUT_LIMIT).decode(errors="replace")
    finally:
        os.close(output)
        os.close(agents_end)
    good = (STATUS_ON, STATUS_OFF) if task == "status" else (0,)
    run.result = "success" if run.status in good else "error from agent"


def _status_of(agent: str, args: bytes, output: int) -> int | None:
    """Exit status of an agent from PATH, without arguments; None when it cannot be started."""
    try:
        process = subprocess.Popen([agent], stdin=subprocess.PIPE, stdout=output, stderr=output)
    except OSError:
        return None
    assert process.stdin is not None
    try:
        process.stdin.write(args)
        process.stdin.close()
    except BrokenPipeError:
        pass  # it refused its input before the end: its exit status tells
    return process.wait()


def _show(options: argparse.Namespace, run: Run) -> None:
    """Show as much of a run as was asked for."""
    if options.v >= 1:
        subject = f"{options.task} {options.node} dev {run.place}"
        print(f"{subject} agent {run.agent} result: {run.result}", flush=True)
    if options.v >= 2 and run.args:
        print(f"agent args: {' '.join(run.args.splitlines())}", flush=True)
    if options.v >= 3:
        print(run.output, end="", flush=True)


def _end(options: argparse.Namespace, status: int) -> int:
    """Say how it ended."""
    words = {0: "success", 1: "failed", 2: "off"}
    if options.task == "status":
        words[0] = "on"
    print(f"{options.task} {options.node} {words[status]}", file=sys.stderr)
    return status


if __name__ == "__main__":
    sys.exit(main())

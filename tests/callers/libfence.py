# SPDX-License-Identifier: GPL-2.0-or-later
"""cman's side of a fencing: runs fence agents as libfence does, prints as fence_node does.

cman is packaged no more, and clusters still run it. `python3 -m tests.callers.libfence --help`.
"""

from __future__ import annotations

import argparse
import dataclasses
import os
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterable, Iterator, Sequence
from xml.etree.ElementTree import Element

INPUT_LIMIT = 4094
"""Bytes that libfence has room for on an agent's standard input."""

MOST = 8
"""Methods of a node, and devices of a method, that libfence looks at."""

STATUS = {0: "status on", 2: "status off"}
"""What a device says of itself, by its agent's exit status."""

UNDEFINED = "undefined"


@dataclasses.dataclass
class Run:
    """One run of an agent, or why there was none.

    Attributes:
        place: number of the method and of the device in it, counted from 0.
        args: what it got on standard input.
    """

    place: str
    agent: str = "none"
    args: str = ""
    result: str = ""


def main(arguments: Sequence[str] | None = None) -> int:
    """Fence, unfence or ask for the status of a node; return the exit status."""
    options = _parser().parse_args(arguments)
    cluster = ElementTree.parse(options.cluster_conf).getroot()
    node = _node(cluster, options.node)
    methods = [] if node is None else _methods(node, options.task)
    if node is None or not methods:
        _show(options, Run("0.0", result="error no method"))
        return _end(options, UNDEFINED)
    runs = (
        _runs(options, cluster, node, number, devices)
        for number, devices in enumerate(methods[:MOST])
    )
    how = {"fence": _fence, "unfence": _unfence, "status": _status}[options.task]
    return _end(options, how(runs))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python3 -m tests.callers.libfence",
        description="Fence a node as cman does: with the methods and devices of cluster.conf.",
        epilog="Exit status: 0 done (status: on or off), 1 failed, 2 no method.",
    )
    verbosity = "-v: show results; -vv: and the agent's input"
    parser.add_argument("-v", action="count", default=0, help=verbosity)
    task = parser.add_mutually_exclusive_group()
    for letter, name in (("-U", "unfence"), ("-S", "status")):
        task.add_argument(letter, f"--{name}", dest="task", action="store_const", const=name)
    parser.set_defaults(task="fence")
    parser.add_argument("cluster_conf")
    parser.add_argument("node")
    return parser


def _node(cluster: Element, name: str) -> Element | None:
    """The node of that name, which may lack its domain."""
    nodes = cluster.findall("clusternodes/clusternode")
    names = [node.get("name", "") for node in nodes]
    short = [each.partition(".")[0] for each in names]
    wanted = next((each for each in (names, short) if name in each), None)
    return nodes[wanted.index(name)] if wanted else None


def _methods(node: Element, task: str) -> list[list[Element]]:
    """The devices of each method. A method is looked up by its name, one without has none."""
    if task == "unfence":
        return [each.findall("device") for each in node.findall("unfence")[:1]]
    methods = node.findall("fence/method[@name]")
    first = {each.get("name"): each for each in reversed(methods)}
    return [first[each.get("name")].findall("device") for each in methods]


# The runs are generators: an agent is run when its result is asked for.


def _fence(methods: Iterable[Iterable[Run]]) -> str:
    """One method after the other, until all devices of one succeed."""
    done = any(all(run.result == "success" for run in runs) for runs in methods)
    return "success" if done else "failed"


def _unfence(methods: Iterable[Iterable[Run]]) -> str:
    """All devices, also after one that fails."""
    results = {run.result for runs in methods for run in runs}
    return "success" if results == {"success"} else "failed"


def _status(methods: Iterable[Iterable[Run]]) -> str:
    """All devices of all methods. A node with two power supplies is off when both are."""
    results = {run.result for runs in methods for run in runs}
    if not results <= set(STATUS.values()):
        return "failed -1"
    return "success off" if results == {"status off"} else "success on"


def _runs(
    options: argparse.Namespace,
    cluster: Element,
    node: Element,
    number: int,
    devices: list[Element],
) -> Iterator[Run]:
    """Run the agents of a method's devices, in their order, and show how each ended."""
    if not devices:
        run = Run(f"{number}.0", result="error no device")
        _show(options, run)
        yield run
    for index, device in enumerate(devices[:MOST]):
        run = Run(f"{number}.{index}")
        name = device.get("name")
        fence_device = cluster.find(f"fencedevices/fencedevice[@name='{name}']")
        if fence_device is None:
            run.result = "error config agent"
        else:
            run.agent = fence_device.get("agent", "none")
            run.args = agent_args(device, node.get("name", ""), fence_device, options.task)
            _run_agent(run, options.task)
        _show(options, run)
        yield run


def agent_args(device: Element, victim: str, fence_device: Element, task: str) -> str:
    """What an agent gets on standard input.

    For a status the action of the device does not count. That of the fencedevice comes last,
    whatever the task: it wins.
    """
    unsent = ("name", "action") if task == "status" else ("name",)
    lines = [f"{name}={value}\n" for name, value in device.items() if name not in unsent]
    if "nodename=" not in "".join(lines):
        lines.append(f"nodename={victim}\n")
    if task == "status":
        lines.append("action=status\n")
    lines += [f"{name}={value}\n" for name, value in fence_device.items() if name != "name"]
    return "".join(lines)


def _run_agent(run: Run, task: str) -> None:
    """Run an agent to its end, however long that takes. Nobody reads the pipe for its output."""
    if len(run.args.encode()) > INPUT_LIMIT:
        run.result = "error config args"
        return
    output, agents_end = os.pipe()
    try:
        status = _exit_status(run.agent, run.args.encode(), agents_end)
    finally:
        os.close(output)
        os.close(agents_end)
    if task == "status":
        run.result = STATUS.get(status, "status error")
    else:
        run.result = "success" if status == 0 else "error from agent"


def _exit_status(agent: str, args: bytes, output: int) -> int:
    """That of an agent from PATH, run without arguments; 1 when it cannot be started."""
    try:
        process = subprocess.Popen([agent], stdin=subprocess.PIPE, stdout=output, stderr=output)
    except OSError:
        return 1
    assert process.stdin is not None
    try:
        process.stdin.write(args)
        process.stdin.close()
    except BrokenPipeError:
        pass  # it refused its input before the end: its exit status tells
    return process.wait()


def _show(options: argparse.Namespace, run: Run) -> None:
    """Show as much of a run as was asked for. What the agent wrote is never shown."""
    if options.v >= 1:
        subject = f"{options.task} {options.node} dev {run.place}"
        print(f"{subject} agent {run.agent} result: {run.result}", file=sys.stderr)
    if options.v >= 2 and run.args:
        args = run.args.replace("\n", " ")
        print(f"agent args: {args}", file=sys.stderr)


def _end(options: argparse.Namespace, how: str) -> int:
    """Say how it ended; return the exit status."""
    print(f"{options.task} {options.node} {how}", file=sys.stderr)
    if how == UNDEFINED:
        return 2
    return 0 if how.startswith("success") else 1


if __name__ == "__main__":
    sys.exit(main())

"""Remove or invert the agent's safety decisions, one at a time: does a test notice?

    python -m tests.safety.mutants [NAME ...]

Prints one line for each mutant. The exit status is 1 if one survived: then a
test is missing. tests/safety/test_mutants_table.py keeps the table true to the agent.
"""

from __future__ import annotations

import dataclasses
import os
import pathlib
import re
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterator

from tests.harness import AGENT, REPOSITORY

AT_ONCE = 2
"""Runs side by side."""

SECONDS = 90
"""A run that takes longer does not end."""

TESTS = (
    "tests/agent/test_pure_functions.py",
    "tests/safety/test_regressions.py",
    "tests/safety/test_decisions.py",
)


@dataclasses.dataclass(frozen=True)
class Mutant:
    """One decision less. `old` occurs exactly once in the agent."""

    name: str
    old: str
    new: str

    def applied_to(self, text: str) -> str:
        """The agent with it; raises ValueError unless `old` occurs exactly once."""
        found = text.count(self.old)
        if found != 1:
            raise ValueError(f"{self.name}: occurs {found} times, not once: {self.old!r}")
        return text.replace(self.old, self.new)


def mutants(*rows: tuple[str, str, str]) -> list[Mutant]:
    """A table of them."""
    return [Mutant(*row) for row in rows]


MUTANTS = mutants(
    # Which netboot
    ("a rescue_boot that runs the disk", "and not netboot.boots_the_disk()", ""),
    (
        "a network kernel is no disk",
        'self.kernel.lower().startswith("bzimage")',
        "False",
    ),
    ("an inactive rescue", "n.kind == RESCUE and n.active", "n.kind == RESCUE"),
    ("the oldest rescue", "return max(fit, key", "return min(fit, key"),
    ("a rescue that is no Linux", "and n.is_linux()]", "]"),
    ("off boots the disk", '{"off": off, "on": DISK', '{"off": DISK, "on": DISK'),
    ("on boots the rescue", '"on": DISK, "reboot": DISK}', '"on": RESCUE, "reboot": DISK}'),
    ("reboot boots the rescue", "fencing.cut(server_name(plug), DISK)", "fencing.cut(server_name(plug), RESCUE)"),
    (
        "rest: disk and rescue swapped",
        '{"harddisk": DISK, "rescue": RESCUE',
        '{"harddisk": RESCUE, "rescue": DISK',
    ),
    ("soap: every netboot is a rescue", 'RESCUE if "rescue" in kernel.lower()', "RESCUE if kernel"),
    ("a netboot is its number", "(other.id, other.kind) == (self.id, self.kind)", "other.id == self.id"),
    ("rest: a netboot without a type", "!= id or not kind or not kernel:", "!= id or not kernel:"),
    ("rest: netboots are remembered", "        self._known.clear()\n", ""),
    ("rest: the list of netboots is remembered", "anew.\n        del self._offered[server, kind]\n", "anew.\n"),
    ("one netboot that makes no sense hides the others", "        except Nonsense as error:\n            nonsense = error\n", "        except ZeroDivisionError:\n            pass\n"),
    ("no netboot that makes sense is no netboot", "raise nonsense or self._nothing_fits", "raise self._nothing_fits"),
    ("no netboot is final at once", "(NoNetboot, Contradiction)", "Contradiction"),
    # The order of things
    (
        "the netboot is not read back",
        'if chosen == netboot:\n            log("info", "%s: netboot is',
        'if True:\n            log("info", "%s: netboot is',
    ),
    (
        "a netboot that reads back wrong is no matter",
        "if not (yield from self._choose(netboot)):\n                continue",
        "yield from self._choose(netboot)",
    ),
    ("the netboot is not read again", "if (yield from self._came_to_rest(netboot)):", "if True:"),
    (
        "one answer about the netboot at the end",
        "yield from self._until_agreed(self._api.server, self.server)",
        "yield from self._until_answered(self._api.server, self.server)",
    ),
    ("the power may be on", "if netboot.kind != POWER or not server.powered:", "if True:"),
    (
        "a netboot that changes before the power is off is no matter",
        "            if not self._is_set(netboot, server.netboot):",
        "            if not self._is_set(netboot, server.netboot) and netboot.kind != POWER:",
    ),
    (
        "one answer when the netboot is read back",
        "yield from self._until_agreed(self._read_netboot)\n        self._netboot_left",
        "yield from self._until_answered(self._read_netboot)\n        self._netboot_left",
    ),
    ("nobody looks at the netboot while waiting", "            yield self._fencing.poll\n            self._watch()\n", "            yield self._fencing.poll\n"),
    ("nobody looks at the netboot while calls fail", "                yield patience.pause_after(error)\n                self._watch()\n", "                yield patience.pause_after(error)\n"),
    ("one answer about the netboot while waiting", "            if chosen != netboot:  # one answer may be false\n                chosen = self._read_netboot()\n", ""),
    ("a netboot that changes while asking is no matter", "            if self._is_changed:\n                return False\n            if self._fencing", "            if self._fencing"),
    ("a netboot that was changed and changed back is no matter", "        return not self._is_changed\n", "        return True\n"),
    (
        "one answer about the reboots before",
        "yield from self._until_agreed(self._api.reboot_mark, self.server)",
        "yield from self._until_answered(self._api.reboot_mark, self.server)",
    ),
    (
        "one answer about a new reboot",
        "yield from self._until_agreed(reboot.was_accepted)",
        "yield from self._until_answered(reboot.was_accepted)",
    ),
    ("one answer about the end", "for _ in range(2):\n            if not", "for _ in range(1):\n            if not"),
    ("two answers need not agree", "self._until_answered(call, *args))) != answer:", "self._until_answered(call, *args))) is None:"),
    (
        "another reboot under way is no matter",
        "if not reboot.is_clear and not self._waited_in_vain:",
        "if False:",
    ),
    ("another task is waited for in vain", "self._waited_in_vain = True", "pass"),
    ("another task is waited for for ever", "if self._fencing.clock.monotonic() >= end:", "if False:"),
    (
        "soap: another reboot is never under way",
        'return soap_reboot_stage(*self.reboot_status(server)) in ("under way", "unknown")',
        "return False",
    ),
    ("soap: a garbled one is not under way", 'in ("under way", "unknown")', 'in ("under way",)'),
    ("soap: times are texts", 'text if time is None else time.isoformat(" ")', "text"),
    # Whether our request was accepted
    (
        "a lost request is always repeated",
        "if (yield from self._until_agreed(reboot.was_accepted)):\n                break",
        "pass",
    ),
    (
        "a lost request is never repeated",
        "if (yield from self._until_agreed(reboot.was_accepted)):",
        "if True:",
    ),
    (
        "soap: a refused request is repeated",
        'server, reason, self._email, "en", repeat=False)',
        'server, reason, self._email, "en")',
    ),
    (
        "rest: a refused request is repeated",
        'self._call("POST", path, server, {}, repeat=False)',
        'self._call("POST", path, server, {})',
    ),
    ("soap: every start is new", '[0] not in ("", self._before[0])', '[0] != ""'),
    ("soap: a blank start is new", '[0] not in ("", self._before[0])', "[0] != self._before[0]"),
    (
        "rest: an old task is adopted",
        "self._api.reboot_mark(self._server) - self._before",
        "self._api.reboot_mark(self._server)",
    ),
    (
        "rest: a task that is over is adopted",
        "self._status() not in ALIVE",
        'self._status() == ""',
    ),
    ("rest: a task of before is adopted", " and self._created >= self._since\n", "\n"),
    ("rest: a task without a date is adopted", "self._created is not None and self._created >=", "self._created is None or self._created >="),
    ("rest: a task without a date is old", "old = created is not None and created <", "old = created is None or created <"),
    ("rest: a date without a zone is one of ours", "return moment.timestamp() if moment.tzinfo else None", "return moment.timestamp()"),
    ("rest: an old task is an answer", "if task in self._before or old", "if old"),
    (
        "rest: another kind of task is an answer",
        ' or document.get("function") != "hardReboot":',
        ":",
    ),
    (
        "busy counts as accepted",
        "yield from self._wait_for_other_task()\n                    return False",
        "return True",
    ),
    (
        "busy does not begin again",
        "yield from self._wait_for_other_task()\n                    return False",
        "yield from self._wait_for_other_task()\n                    continue",
    ),
    ("busy with a lost request begins again", "if not lost:", "if True:"),
    (
        "busy is not waited for",
        "while (yield from self._until_answered(self._api.is_busy, self.server)):",
        "while False:",
    ),
    ("rest: busy is a fault like others", "if busy or answer.status == 409:", "if False:"),
    ("rest: busy is a refusal of a PUT", '(Busy if method == "POST" else Fault)', '(Busy if method == "POST" else Denied)'),
    # Whether it is over
    ("soap: any start", "if start == before[0] or end == before[1]:", "if end == before[1]:"),
    ("soap: the end of the reboot before", "if start == before[0] or end == before[1]:", "if start == before[0]:"),
    ("soap: an end before the start", " or ended is None or ended < started:\n        return False", " or ended is None:\n        return False"),
    ("soap: an estimated end is the end", "return elapsed >= (ended - started).total_seconds()", "return True"),
    ("soap: seconds from another start", "self._start, self._seen_at = start, now", "self._start, self._seen_at = start, self._seen_at or now"),
    ("soap: seconds from nowhere", "if start != self._start:", "if False:"),
    ("soap: every reboot is clear", 'soap_reboot_stage(*before) in ("never", "over")', "True"),
    ("soap: a garbled mark is clear", 'soap_reboot_stage(*before) in ("never", "over")', 'soap_reboot_stage(*before) != "under way"'),
    ("soap: the first end is ours", "        return end != self._first_end", "        return True"),
    ("soap: one answer tells the first end", 'end if end == self._last_end else ""', "end"),
    ("rest: the library follows a redirect", 'vars(requests.sessions)["DEFAULT_REDIRECT_LIMIT"] = 0', "pass"),
    ("soap: a time is any text", "if len(text) == 19 else None", "if text else None"),
    ("rest: an unknown task is done", 'except NotFound:\n            return ""', 'except NotFound:\n            return "done"'),
    ("rest: a task is never lost", "self.is_lost = now - self._unknown_since >= TASK_IS_LOST_AFTER", "self.is_lost = False"),
    ("rest: a task is lost at once", "self.is_lost = now - self._unknown_since >= TASK_IS_LOST_AFTER", "self.is_lost = True"),
    ("rest: seconds of a lost task add up", "            return False\n        self._unknown_since = None\n", "            return False\n"),
    ("a lost reboot is over", "if reboot.is_lost:", "if False:"),
    ("rest: a task that was given up is waited for", "if self._given_up >= 2:", "if False:"),
    ("rest: one answer says that a task was given up", "if self._given_up >= 2:", "if self._given_up:"),
    ("rest: every status is one", " or status not in STATUSES:", ":"),
    ("rest: any task", 'ours = document.number("taskId") == self._task', "ours = True"),
    ("rest: a task of any function", 'ours = ours and document.get("function") == "hardReboot"', "pass"),
    ("rest: a task of any age", "if task in self._before or old or", "if task in self._before or"),
    ("rest: what was booted is remembered", "        self._known.clear()  # what", "        pass  # what"),
    ("rest: a task under way is done", 'return status == "done"', "return True"),
    ("rest: a task that moves on is missed", '("init", "todo", "doing")', '("doing", "todo", "init")'),
    ("rest: the time is asked for too late", "        if not client._client_id:\n            self._check_time(client)\n", ""),
    ("rest: one answer about the time", "        check_times(first, here + client.time_delta)\n", ""),
    ("rest: any number is a time", "type(each) is int and each >= EARLIEST_TIME", "type(each) is int"),
    ("rest: one answer about the time before the request", "        check_times(first, second)\n", ""),
    ("rest: two times need not agree", "not times or abs(second - first) > LONGEST_TIME_APART", "not times"),
    ("rest: no power state is off", '!= "poweroff")', '== "poweron")'),
    # status and on
    ("status believes one answer", "        return self._read(self._looks_off, server)\n", "        return True\n"),
    ("list-status believes one answer", "server) for _ in range(2))", "server) for _ in range(1))"),
    ("status: a rescue under way is off", ' and self.api.last_reboot(name) == "over"', ""),
    ("status: a rescue never booted is off", 'self.api.last_reboot(name) == "over"', 'self.api.last_reboot(name) != "under way"'),
    ("status: everything is off", "(rescue or not server.powered) and", "True and"),
    ("on: a reboot under way is no matter", 'return disk and self.api.last_reboot(name) != "under way"', "return disk"),
    ("on: any netboot", "server.netboot.kind == DISK and server.powered", "server.powered"),
    ("on: switched off is on", "server.netboot.kind == DISK and server.powered", "server.netboot.kind == DISK"),
    # What the library is told
    ("off trusts a status", 'return "on" if action != "on" or', 'return "on" if'),
    ("what failed is reported as done", "    if cut.proven:\n        return action", "    if True:\n        return action"),
    ("on fails and is success", 'if action == "on" and was_fenced(fencing, server):', 'if action == "on":'),
    ("the on portion of a reboot fails it", 'if action == "on" and was_fenced(fencing, server):', "if False:"),
    ("every cut is proof of fencing", "return cut is not None and cut.proven", "return cut is not None"),
    ("a cycle that failed is success", "    if not cut.proven:\n        raise NotProven(f\"{server}: not proven to be cut\")\n", ""),
    ("a cut that failed is proven", "        except OvhError as error:\n            self._fail(error)\n", "        except OvhError:\n            self.proven = True\n"),
    ("a cut out of time is proven", "        except OutOfTime:\n            self.give_up()", "        except OutOfTime:\n            self.proven = True"),
    ("only the first plug is cut", "            fencing.cut(server_name(plug), DISK)\n", "            fencing.cut(server_name(plug), DISK)\n            break\n"),
    # The exit status
    ("what is not proven is success", "    except NotProven:\n        pass ", "    except NotProven:\n        return 0 "),
    ("an error of OVH is success", '        log("error", "%s", error)\n    except Interrupted', '        return 0\n    except Interrupted'),
    ("a signal is success", '        log("error", "ended by %s", interrupted.signal_name)', "        return 0"),
    ("a signal outside of the run is success", "super().__init__(1)\n        self.signal_name", "super().__init__(0)\n        self.signal_name"),
    ("a defect is success", '        log("error", "defect in fence_ovh: %s", where(error))', "        return 0"),
    ("a defect shows its text", 'return f"{type(error).__name__} in {places}"', 'return f"{error!r} in {places}"'),
    ("the exit status is lost", "sys.exit(run(options, HttpNetwork(), SystemClock()))", "run(options, HttpNetwork(), time)"),
    ("off prints the version", "        options.pop(name)\n", "        pass\n"),
    ("off prints the version for Proxmox", '        fail_usage("Failed: --help and', '        return\n        fail_usage("Failed: --help and'),
    ("every success is two", "    return fence_action(\n        fencing, options, set_power_status, get_power_status, get_list, reboot_cycle\n    )", "    fence_action(\n        fencing, options, set_power_status, get_power_status, get_list, reboot_cycle\n    )\n    return 2"),
    # Time
    ("a call may take its time", "return max(0.0, min(seconds, left))", "return seconds if left > 0 else 0.0"),
    ("there is no deadline", "self._end = None if seconds is None else", "self._end = None if True else"),
    ("the deadline is not looked at", "            if self._deadline.is_over():", "            if False:"),
    ("power_timeout cannot be lifted", "self._limit = None if timeout_is_disabled(options) else", "self._limit ="),
    ("Pacemaker does not lift power_timeout", 'os.environ.get("PCMK_service") == "pacemaker-fenced"', "False"),
    ("Pacemaker lifts what was forbidden", '    if said:\n        return said in ("1"', '    if said and said != "false":\n        return said in ("1"'),
    ("calls have no time where power_timeout is lifted", "            options[key] = given.get(key, all_opt[name][\"default\"])", "            pass"),
    ("nothing is reported", "                    cut.report()", "                    pass"),
    ("on has what off left of the time", "        if kind not in (begun for _, begun in self._cuts):\n", "        if not self._cuts:\n"),
    ("each plug has its own time", "        if kind not in (begun for _, begun in self._cuts):\n", "        if True:\n"),
    ("status has no deadline", "        self._deadline.start(self._read_limit)\n", ""),
    ("each question of a look has its own time", "        patience = Patience(self, \"\")\n", "        patience = Patience(self, \"\")\n        self._start_reading()\n"),
    # Faults and refusals
    ("every refusal is final", "if not known or now - self._denied_since", "if True or now - self._denied_since"),
    ("no refusal is final", "if not known or now - self._denied_since >= self._fencing.denied_for:", "if False:"),
    ("a refusal at first is no answer", "if not known or now", "if now"),
    ("refusals add up over faults", "        elif isinstance(error, Fault):\n            self._denied_since = None\n", "        elif isinstance(error, Fault):\n            pass\n"),
    ("soap: a login granted before is refused for good", "Contradiction(*error.args) if self._was_let_in else error", "error"),
    ("nothing was ever granted", "                self._fencing.granted.add(self.server)\n", ""),
    ("Retry-After is not honoured", 'return pause + min(getattr(error, "retry_after", 0), LONGEST_RETRY_AFTER)', "return pause"),
    ("Retry-After has no limit", 'min(getattr(error, "retry_after", 0), LONGEST_RETRY_AFTER)', 'getattr(error, "retry_after", 0)'),
    ("pauses count from before the call", "self.due = self._fencing.clock.monotonic() + pause", "self.due += pause"),
    ("pauses have no limit", "self._pause = min(2 * self._pause, LONGEST_PAUSE)", "self._pause = 2 * self._pause"),
    ("pauses do not grow", "self._pause = min(2 * self._pause, LONGEST_PAUSE)", "self._pause = FIRST_PAUSE"),
    ("all agents come back together", "random.uniform(0.5, 1)", "1"),
    ("soap: a session that is over is a refusal", "        return SessionGone\n", "        return Denied\n"),
    ("soap: every fault is a refusal", "return Fault if any(each in said for each in passing) else Denied", "return Denied"),
    ("soap: no fault is a refusal", "return Fault if any(each in said for each in passing) else Denied", "return Fault"),
    ("refusals far apart are one that lasts", "                patience = Patience(self._fencing, self.server)\n", "                pass\n"),
    ("status looks twice at once", "        self.clock.sleep(LOOK_AGAIN_AFTER)\n", ""),
    ("soap: no new login", "        self.close()\n        return self._exchange(operation", "        return self._exchange(operation"),
    ("rest: a wrong key is tried again", "if not repeat or not worked:", "if not repeat:"),
    ("rest: no new client", "if not repeat or not worked:", "if True:"),
    # Secrets and sessions
    ("OVH's words are shown as they are", '    line = redact(line, [" ".join(secret.split()) for secret in secrets])\n', ""),
    ("half a secret is shown", "size = min(8, len(secret))", "size = len(secret)"),
    ("soap: OVH's words may be secret", 'in_words(struct(fault).get("faultstring", ""), self._secrets)', 'in_words(struct(fault).get("faultstring", ""))'),
    ("rest: OVH's words may be secret", "in_words(message, self.secrets())", "in_words(message)"),
    ("the library suds talks", '    silence("suds")\n', ""),
    ("the library ovh talks", '    silence("urllib3"', '    (lambda *names: None)("urllib3"'),
    ("silence is not silent", "        logger.propagate = False\n", ""),
    ("the session stays open", "                self._exchange(\"logout\", \"\", [session], LOGOUT_LIMIT)", "                pass"),
    ("a log-out takes as long as it takes", "[session], LOGOUT_LIMIT)", "[session])"),
    ("the session of a failed run stays open", "        api.close()\n    return ending", "    return ending"),
    # Hostile answers
    ("entity bombs are read", '            raise ValueError("document type")', "            pass"),
    ("a redirect is followed", "        self._opener.add_handler(urllib.request.HTTPHandler())\n", "        self._opener.add_handler(urllib.request.HTTPHandler())\n        self._opener.add_handler(urllib.request.HTTPRedirectHandler())\n        self._opener.add_handler(urllib.request.HTTPErrorProcessor())\n"),
    ("an answer has any length", "if len(body) > LONGEST_ANSWER:", "if False:"),
    ("an answer takes any time", "poller.poll(1000 * min(seconds, LONGEST_WAIT))", "poller.poll()"),
    ("an answer cut short is whole", "if response.length:", "if False:"),
)  # fmt: skip


PYTEST = ["-x", "-q", "-p", "no:cacheprovider", *TESTS]
SURVIVED = "SURVIVED"
BROKEN = "BROKEN: no test failed, and none passed"
TOO_LONG = f"TOO LONG: the tests took more than {SECONDS} s, which shows nothing"


def main(names: list[str]) -> int:
    """Try the mutants of these names, or all; return the exit status."""
    chosen = [mutant for mutant in MUTANTS if not names or mutant.name in names]
    text = AGENT.read_text()
    agents = {mutant.name: mutant.applied_to(text) for mutant in chosen}
    preload()
    begun = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        trees = [copy_to(pathlib.Path(folder, str(number))) for number in range(AT_ONCE)]
        for _, verdict in tried({"": text}, trees[:1]):
            if verdict != SURVIVED:
                print(f"the agent as it is: {verdict}")
                return 1
        bad = 0
        for name, verdict in tried(agents, trees):
            bad += verdict in (SURVIVED, BROKEN, TOO_LONG)
            print(f"{name}: {verdict}", flush=True)
    seconds = time.monotonic() - begun
    print(f"{len(chosen)} mutants, {bad} of them not killed, {seconds:.0f} s")
    return 1 if bad else 0


def preload() -> None:
    """Import what every run needs: each is a fork of this process and has it at once."""
    import hypothesis  # noqa: F401
    import ovh  # noqa: F401
    import pytest  # noqa: F401
    import suds.client  # noqa: F401


def copy_to(folder: pathlib.Path) -> pathlib.Path:
    """Copy what the tests need there."""
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(REPOSITORY / "tests", folder / "tests", ignore=ignored)
    for name in ("fence_ovh", "fencing.py", "pyproject.toml"):
        shutil.copy(REPOSITORY / name, folder)
    return folder


def tried(agents: dict[str, str], trees: list[pathlib.Path]) -> Iterator[tuple[str, str]]:
    """Run the tests on each of these agents, one in each tree at a time.

    :return: for each its name and which test failed, SURVIVED or BROKEN, as they end.
    """
    waiting, free = list(agents), list(trees)
    running: dict[int, tuple[str, pathlib.Path]] = {}
    while waiting or running:
        while waiting and free:
            name, tree = waiting.pop(0), free.pop()
            put(agents[name], tree)
            running[start_tests(tree)] = name, tree
        process, status = os.wait()
        name, tree = running.pop(process)
        free.append(tree)
        yield name, verdict_of(os.waitstatus_to_exitcode(status), tree)


def put(agent: str, tree: pathlib.Path) -> None:
    """Make that the tree's agent."""
    (tree / "fence_ovh").write_text(agent)
    # What Python keeps of a file it tells from the next only by size and second.
    shutil.rmtree(tree / "__pycache__", ignore_errors=True)


def start_tests(tree: pathlib.Path) -> int:
    """Start the tests of that tree; return the process."""
    sys.stdout.flush()
    process = os.fork()
    if process == 0:
        try:
            os._exit(run_tests(tree))
        finally:
            os._exit(4)
    return process


def run_tests(tree: pathlib.Path) -> int:
    """Run the tests of that tree in this process, which is for nothing else."""
    import pytest

    output = os.open(tree / "output", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(output, 1)
    os.dup2(output, 2)
    signal.alarm(SECONDS)
    os.chdir(tree)
    sys.path = [str(tree), *(path for path in sys.path if path not in ("", str(REPOSITORY)))]
    for name in [name for name in sys.modules if name.partition(".")[0] == "tests"]:
        del sys.modules[name]
    os.environ["CI"] = "1"  # hypothesis: no time limit, and the same examples each time
    status = pytest.main(PYTEST)
    sys.stdout.flush()
    return int(status)


def verdict_of(status: int, tree: pathlib.Path) -> str:
    """Say in words how the tests of that tree ended."""
    if status == 0:
        return SURVIVED
    if status == -signal.SIGALRM:
        return TOO_LONG
    output = (tree / "output").read_text()
    failed = re.search(r"^FAILED tests/(.*?)( - .*)?$", output, re.MULTILINE)
    return f"killed by {failed[1]}" if status == 1 and failed else BROKEN


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

# SPDX-License-Identifier: GPL-2.0-or-later
"""Options, documentation, logging and the on/off/reboot procedure of a fence agent.

The public names are those of the fence-agents library, so that an agent written against this
module also runs on the distribution's. A run of an agent reads::

    options = check_input(device_opt, process_input(device_opt))
    show_docs(options, docs)
    run_delay(options)
    sys.exit(fence_action(connection, options, set_power, get_power, get_list))

Beyond that interface: `clock`, through which time comes in; `show_waiting`, for a line on a
person's terminal; and `Interrupted`, which a signal raises where the agent is: `try` and `finally`
are all that an agent needs to clean up.

Imports: cluster software asks every agent for its metadata, so that path loads nothing beyond
what a bare interpreter has loaded anyway. logging, subprocess and the like are therefore imported
inside the functions that need them, and the command line parser is our own.
"""

from __future__ import annotations

import atexit
import os
import sys
import time

# The value `typing.TYPE_CHECKING` has when a program runs; importing typing would cost too much.
TYPE_CHECKING = False
if TYPE_CHECKING:
    import logging
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from typing import Any, NoReturn, Optional

    Options = dict[str, Any]
    Pair = tuple[str, Optional[str]]  # an option's name and value; None: a switch without one
    Outlet = tuple[Optional[str], Optional[str]]  # alias and power status
    Put = Callable[[bytes], None]
    SetPower = Callable[[Any, Options], Any]
    GetPower = Callable[[Any, Options], str]
    GetOutlets = Callable[[Any, Options], Mapping[str, Outlet]]
    Succeeds = Callable[[Any, Options], bool]

RELEASE_VERSION = "2.0.0"

EC_OK = 0
EC_GENERIC_ERROR = 1
EC_BAD_ARGS = 2
EC_LOGIN_DENIED = 3
EC_CONNECTION_LOST = 4
EC_TIMED_OUT = 5
EC_WAITING_ON = 6
EC_WAITING_OFF = 7
EC_STATUS = 8
EC_STATUS_HMC = 9
EC_PASSWORD_MISSING = 10
EC_INVALID_PRIVILEGES = 11
EC_FETCH_VM_UUID = 12

_FAILURES = {
    EC_OK: "the agent gave up without naming a reason",
    EC_GENERIC_ERROR: "the action could not be carried out",
    EC_BAD_ARGS: "the options do not fit together",
    EC_LOGIN_DENIED: "the fence device refused the login, or could not be reached",
    EC_CONNECTION_LOST: "the connection to the fence device was lost",
    EC_TIMED_OUT: "the fence device did not answer in time",
    EC_WAITING_ON: "timed out while waiting for power ON",
    EC_WAITING_OFF: "timed out while waiting for power OFF",
    EC_STATUS: "no usable power status, or no such plug",
    EC_STATUS_HMC: "no usable power status: unknown partition or other HMC version",
    EC_PASSWORD_MISSING: "a password is needed",
    EC_INVALID_PRIVILEGES: "the login lacks the rights for this action",
    EC_FETCH_VM_UUID: "no machine with the name given as plug",
}

_ACTION_NAMES = (
    *("on", "off", "reboot", "status", "list", "list-status", "monitor"),
    *("metadata", "manpage", "validate-all"),
)
_FENCING = {"on", "off", "reboot"}
_PLUG_ACTIONS = (*_FENCING, "status")
_DOC_ACTIONS = ("metadata", "manpage")

# Name, getopt, long name, argument, order, description.
_OPTIONS = (
    ("action", "o:", "action", "action", 1, "What to do: " + ", ".join(_ACTION_NAMES)),
    ("login", "l:", "username", "name", 1, "Name to log in with"),
    ("passwd", "p:", "password", "password", 1, "Password of the login"),
    ("passwd_script", "S:", "password-script", "script", 1, "Command that prints the password"),
    ("port", "n:", "plug", "id", 1, "Machine to act on, as the fence device calls it"),
    ("method", "m:", "method", "method", 1, "Reboot by off and on, or by the device's own cycle"),
    ("quiet", "q", "quiet", "", 50, "Nothing on standard error; syslog and debug file stay"),
    ("verbose", "v", "verbose", "", 51, "Show each step; may be repeated (-vv)"),
    ("verbose_level", ":", "verbose-level", "level", 52, "Level of detail: 2 is the same as -vv"),
    ("debug", "D:", "debug-file", "debugfile", 53, "Append all messages to a file, in full detail"),
    ("version", "V", "version", "", 54, "Print the version and exit"),
    ("help", "h", "help", "", 55, "Print this help and exit"),
    ("plug_separator", ":", "plug-separator", "char", 100, "What separates several plugs"),
    ("separator", "C:", "separator", "char", 100, "What separates columns of list and list-status"),
    ("delay", ":", "delay", "seconds", 200, "Wait before off and reboot"),
    ("power_timeout", ":", "power-timeout", "seconds", 200, "Limit until the new status shows"),
    ("shell_timeout", ":", "shell-timeout", "seconds", 200, "Limit of one command or request"),
    ("login_timeout", ":", "login-timeout", "seconds", 200, "Limit of login and password script"),
    ("disable_timeout", ":", "disable-timeout", "true/false", 200, "No limit; Pacemaker's default"),
    ("power_wait", ":", "power-wait", "seconds", 200, "Wait between switching and the first look"),
    ("stonith_status_sleep", ":", "stonith-status-sleep", "seconds", 200, "Wait between two looks"),
    ("retry_on", ":", "retry-on", "attempts", 201, "How often to try to power on, or to cycle"),
)
_DEFAULTS = {
    "action": "reboot", "method": "onoff", "plug_separator": ",", "separator": ",",
    "delay": "0", "power_timeout": "20", "shell_timeout": "3", "login_timeout": "5",
    "power_wait": "0", "stonith_status_sleep": "1", "retry_on": "1",
}  # fmt: skip
# Up to which order, and the heading of these options in `-h`.
_GROUPS = (
    (1, "What to do, and where"),
    (49, "For this device"),
    (99, "Messages and help"),
    (199, "Formats"),
    (sys.maxsize, "Time limits and repetitions"),
)
_BEHAVIOUR = ("no_login", "no_password")  # words in device_opt that are no option
_LOG_SWITCHES = ("quiet", "verbose")
_COMPANIONS = {"passwd": "passwd_script", "port": "separator"}
# How the names begin that cluster software sends to every agent (case and all).
_ROUTINE = ("agent", "name", "domain", "crm_feature_set", "CRM_meta_", "pcmk_")
_ON_REQUEST = ("login", "passwd", "passwd_script", "port", "separator", "method")
_ALWAYS = [row[0] for row in _OPTIONS if row[0] not in _ON_REQUEST]


def _entry(
    name: str, getopt: str, longopt: str, argument: str, order: int, text: str
) -> dict[str, Any]:
    """The value of `all_opt` for one row of the table."""
    letter = f"-{getopt[0]}, " if getopt[0] != ":" else ""
    value = f"=[{argument}]" if argument else ""
    entry = {"getopt": getopt, "longopt": longopt, "shortdesc": text, "order": order}
    entry["help"] = f"{letter}--{longopt}{value}  {text}"
    entry["required"] = "1" if name in ("action", "login", "port") else "0"
    if name in _DEFAULTS:
        entry["default"] = _DEFAULTS[name]
    if argument == "seconds":
        entry["type"] = "second"
    return entry


all_opt: dict[str, dict[str, Any]] = {row[0]: _entry(*row) for row in _OPTIONS}
all_opt["method"]["choices"] = ["onoff", "cycle"]
all_opt["retry_on"]["type"] = all_opt["verbose_level"]["type"] = "integer"

_STDIN_LIMIT = 64 * 1024  # bytes; cluster software sends at most a few KiB
_NUMBER_DIGITS = 9  # longer waits (over thirty years) are typing errors that time.sleep refuses
_MIN_PAUSE = 0.1  # seconds between two questions for the status, whatever the option says
_NOTE_INTERVAL = 60.0  # seconds between two "still waiting" messages


class Clock:
    """Where this module takes time from: replace `fencing.clock` to test on a virtual one."""

    def monotonic(self) -> float:
        """Return seconds since an arbitrary point; never goes back."""
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        """Wait that many seconds."""
        time.sleep(seconds)


clock = Clock()
process_start = clock.monotonic()


class Failed(SystemExit):
    """How `fail` and `fail_usage` end the process: told apart from an agent's own exit."""


class Interrupted(SystemExit):
    """A signal asks the agent to end. Raised once, in the main thread; the exit status is 1.

    :ivar signal_name: the signal's, such as "SIGTERM"
    """

    def __init__(self, signal_name: str) -> None:
        super().__init__(1)
        self.signal_name = signal_name


_NO_SWITCH = "{} is a switch: its value must be yes or no (or 1, 0, ...)"


class _UsageProblem(Exception):
    """The input cannot be used; the text says why and never holds a value."""


# --- Input: raw lines or arguments -> pairs -> options ---------------------------------------


def _option_names(device_opt: Sequence[str]) -> list[str]:
    """Names of all options the agent has; words that only change behaviour are left out."""
    asked = [name for name in device_opt if name in all_opt]
    companions = [_COMPANIONS[name] for name in asked if name in _COMPANIONS]
    return list(dict.fromkeys([*asked, *companions, *_ALWAYS]))


def _key(name: str) -> str:
    return "--" + str(all_opt[name]["longopt"])


def _newer(name: str) -> str:
    """Stdin name that an option's long name makes; for some it differs from the old one."""
    return str(all_opt[name]["longopt"]).replace("-", "_")


def _shown(option: str) -> str:
    """How a message names an option.

    Pacemaker says that an action took too long when it failed and wrote "timeout".
    """
    words = option.strip("-").replace("-", " ").replace("_", " ")
    return words.replace("timeout", "time limit") if "timeout" in words else option


def _takes_value(name: str) -> bool:
    return str(all_opt[name]["getopt"]).endswith(":")


def _boolean(text: str) -> bool | None:
    """Meaning of a boolean word, None when it is none."""
    word = text.strip().lower()
    if word in ("1", "yes", "on", "true"):
        return True
    return False if word in ("0", "no", "off", "false") else None


def _raw_lines(data: bytes) -> list[tuple[int, str]]:
    """Lines that carry something, each with its number counted from 1."""
    if len(data) > _STDIN_LIMIT:
        raise _UsageProblem(f"standard input is longer than {_STDIN_LIMIT // 1024} KiB")
    lines = []
    for number, raw in enumerate(data.split(b"\n"), 1):
        line = raw.strip()  # of ASCII white space: a password may end in another one
        if b"\0" in line:
            raise _UsageProblem(f"standard input, line {number}: a NUL byte")
        try:
            text = line.decode()
        except UnicodeDecodeError:
            # "from None": the original exception carries the line.
            raise _UsageProblem(f"standard input, line {number}: not UTF-8 text") from None
        if text and not text.startswith("#"):
            lines.append((number, text))
    return lines


def _pair(line: str) -> tuple[str, str]:
    """Name (with `_`) and value of a `name=value` line."""
    name, _, value = line.partition("=")
    value = value.strip(" \t")
    if len(value) >= 2 and value.startswith('"') and value.endswith('"'):
        value = value[1:-1]
    return name.strip(" \t").replace("-", "_"), value


def _ranks(names: Iterable[str]) -> dict[str, tuple[str, int]]:
    """Each name that standard input may have: the option it means, and which of several wins."""
    ranks = {"option": ("action", 1)}
    if "port" in names:
        ranks["nodename"] = ("port", 0)
    for name in names:
        ranks.update({name: (name, 1), _newer(name): (name, 2)})
    return ranks


def _look_at_unknown_names(lines: Iterable[tuple[int, str]], names: Iterable[str]) -> None:
    """Warn of each name that looks like a misspelt one. A name is not shown: it may be a secret.

    Clusters send names of their own, which are passed over, but no white space in one, and always
    an action. Without it the default would switch a machine off that somebody wanted to look at:
    `sh` has an `echo` that does not know -e and prints it before the first name.

    :raises _UsageProblem: white space in a name, or a misspelt action and no other
    """
    ranks = _ranks(names)
    given = {number: _pair(line)[0] for number, line in lines}
    for number, name in given.items():
        if len(name.split()) > 1:
            why = "white space in a name (echo -e does that in some shells: use printf)"
            raise _UsageProblem(f"standard input, line {number}: {why}")
        meant = "" if name in ranks or name.startswith(_ROUTINE) else _resembled(name, ranks)
        if meant and ranks[meant][0] == "action" and not {"action", "option"} & set(given.values()):
            raise _UsageProblem(f"standard input, line {number}: no action, but a name like it")
        if meant:
            message = "standard input, line %d: ignored; its name is unknown, but resembles %s"
            _logger().warning(message, number, _shown(meant))


def _resembled(name: str, known: Iterable[str]) -> str:
    import difflib

    return next(iter(difflib.get_close_matches(name.lower(), known, 1, 0.81)), "")


def _known_pairs(pairs: Iterable[Pair], names: Iterable[str]) -> list[Pair]:
    """Pairs of known options, the ones that win last: the newer of two names, then the later pair.

    An empty plug counts as none, or it would hide the one given by another name.
    """
    ranks = _ranks(names)
    known = [(*ranks[name], value) for name, value in pairs if name in ranks]
    known.sort(key=lambda item: item[1])
    return [(name, value) for name, _, value in known if value or name != "port"]


def _may_be_shown(name: str, ranks: Mapping[str, tuple[str, int]]) -> bool:
    """Whether an unknown name before a "=" is one, not a secret: "--passwordSECRET=" may be."""
    plain = name.replace("_", "a")
    is_name = plain.isascii() and plain.isalpha() and plain.islower() and len(plain) <= 30
    glued = (known for known, (option, _) in ranks.items() if _takes_value(option))
    return is_name and not name.startswith(tuple(glued))


def _long_option(
    word: str, place: int, rest: list[str], ranks: Mapping[str, tuple[str, int]]
) -> Pair:
    typed, equals, value = word.partition("=")
    name = typed[2:].replace("-", "_")
    if name not in ranks and equals and _may_be_shown(name, ranks):
        raise _UsageProblem(f"unknown option {_shown(typed)}")
    if name not in ranks:
        # Not shown: it may be --password without its "=", followed by the password.
        raise _UsageProblem(f"argument {place} on the command line is an unknown option")
    option = ranks[name][0]
    if equals:
        return name, value
    if not _takes_value(option):
        return name, None
    if not rest:
        raise _UsageProblem(f"option {_shown(_key(option))} needs a value")
    return name, rest.pop(0)


def _short_options(word: str, rest: list[str], short: Mapping[str, str]) -> list[Pair]:
    pairs: list[Pair] = []
    for position, letter in enumerate(word[1:], 2):
        name = short.get(letter)
        if name is None:
            raise _UsageProblem(f"unknown option -{_escaped(letter)}")
        if not _takes_value(name):
            pairs.append((_newer(name), None))
            continue
        if position == len(word) and not rest:
            raise _UsageProblem(f"option -{letter} needs a value")
        pairs.append((_newer(name), word[position:] or rest.pop(0)))
        break
    return pairs


def _argument_pairs(arguments: Sequence[str], names: Sequence[str]) -> list[Pair]:
    """Names (with `_`) and values of a command line; the value of a bare switch is None.

    The names are those of standard input, old ones included; a letter stands for the newest one.
    """
    ranks = _ranks(names)
    # Options without a letter meet under "", which no letter of an argument is.
    short = {str(all_opt[name]["getopt"]).rstrip(":"): name for name in names}
    pairs: list[Pair] = []
    rest = list(arguments)
    if any("\udc80" <= char <= "\udcff" for word in rest for char in word):
        raise _UsageProblem("the command line is not UTF-8 text")  # Python made surrogates of it
    while rest:
        word = rest.pop(0)
        place = len(arguments) - len(rest)
        if word == "--" and not rest:
            break
        if word.startswith("--") and word != "--":
            pairs.append(_long_option(word, place, rest, ranks))
        elif word.startswith("-") and word not in ("-", "--"):
            pairs.extend(_short_options(word, rest, short))
        else:
            # Not shown: it may be a password that lost its -p.
            place += word == "--"
            raise _UsageProblem(f"argument {place} on the command line is not an option")
    return pairs


def _refuse_two_actions(pairs: Iterable[Pair]) -> None:
    """Let no action that only reads stand in for one that fences: its exit status 0 says nothing."""
    actions = [str(value).lower() for name, value in pairs if name == "action"]
    if set(actions) & _FENCING and actions[-1] not in _FENCING:
        raise _UsageProblem("action is given twice: one that fences, and then one that does not")


def _options_of(pairs: Iterable[Pair]) -> Options:
    """Options that pairs of name and value mean; the last pair of a name wins.

    A value that a switch for logging cannot have stays, for `check_input` to warn of. But
    `verbose=2` is a level.
    """
    options: Options = {}
    level = 0
    pairs = list(pairs)
    _refuse_two_actions(pairs)
    for name, value in pairs:
        key = _key(name)
        if _takes_value(name):
            options[key] = value
            continue
        wanted = value is None or _boolean(value)
        if name == "verbose":
            number = value is not None and _is_number(value, fraction=False)
            level = int(value or 0) if number else level + 1 if wanted else 0
            wanted = level > 0 if number else wanted
        if wanted is None and name not in _LOG_SWITCHES:
            raise _UsageProblem(_NO_SWITCH.format(key))
        options.pop(key, None)
        if wanted is not False:
            options[key] = "1" if wanted else value
    if level:
        options.setdefault("--verbose-level", str(level))
    return options


def _read_stdin() -> bytes:
    if sys.stdin is None:
        raise _UsageProblem("no options: standard input is closed")
    try:
        return sys.stdin.buffer.read(_STDIN_LIMIT + 1)
    except OSError as error:
        raise _UsageProblem(f"standard input cannot be read: {error.strerror}") from None


def _stdin_pairs(names: Sequence[str]) -> list[Pair]:
    lines = _raw_lines(_read_stdin())
    if not lines:
        raise _UsageProblem("no options: standard input has no name=value line")
    odd = [str(number) for number, line in lines if "=" not in line]
    if odd:
        _logger().warning("standard input: no '=' in line %s: ignored", ", ".join(odd[:10]))
    _look_at_unknown_names([(number, line) for number, line in lines if "=" in line], names)
    pairs = [_pair(line) for _, line in lines if "=" in line]
    known = _known_pairs(pairs, names)
    _refuse_two_actions(known)
    # Each name once: repeating raises the verbosity on the command line only.
    return list(dict(known).items())


def _refuse_unknown_words(device_opt: Sequence[str]) -> None:
    """End an agent that counts on what is not here: `fabric_fencing` forbids a reboot, say."""
    unknown = [word for word in device_opt if word not in all_opt and word not in _BEHAVIOUR]
    if unknown:
        words = ", ".join(unknown)
        _log_problem(f"the agent asks its library (device_opt) for what it does not have: {words}")
        raise Failed(1)


def process_input(device_opt: Sequence[str]) -> Options:
    """Read the options from the command line or, when that is empty, from standard input.

    :param device_opt: names of the agent's options in `all_opt`, and `no_login`, `no_password`
    :returns: `{"--longopt": value}` of what was given; switches have "1"
    :raises SystemExit: with 1, after a message without any value, when the input is unusable, or
        `device_opt` has a word for something that this library does not do
    """
    _refuse_unknown_words(device_opt)
    names = _option_names(device_opt)
    try:
        arguments = sys.argv[1:]
        if not arguments:
            return _options_of(_stdin_pairs(names))
        return _options_of(_known_pairs(_argument_pairs(arguments, names), names))
    except KeyboardInterrupt:
        _end.signal_name = "SIGINT"
        raise Interrupted("SIGINT") from None
    except _UsageProblem as problem:
        _log_problem(str(problem))
        _end_with_hint()


# --- Logging ---------------------------------------------------------------------------------

_STDERR_BUDGET = 24 * 1024  # bytes; libfence reads its pipe of 64 KiB only after our exit
_STDERR_MESSAGE = 2 * 1024  # bytes
_STDERR_FULL = b"(no more messages here: see syslog and the debug file for the rest)\n"
_PATIENCE = 1.0  # seconds for whoever reads our messages to make room for one
_LOG_FORMAT = "%(asctime)s %(levelname)s: %(message)s"


def _escaped(text: str, keep: str = "") -> str:
    """Text with everything unprintable, and lone surrogates, written as escapes."""
    return "".join(
        char if char.isprintable() or char in keep else char.encode("unicode_escape").decode()
        for char in text
    )


class _Stream:
    """What a log handler writes to: takes lines, escapes them, and never raises."""

    def __init__(self, put: Put) -> None:
        self._put = put

    def write(self, text: str) -> None:
        """Write one log record, its final newline included."""
        try:
            self._put(_escaped(text, keep="\n\t").encode())
        except (OSError, ValueError):
            return  # a full disk or a reader that left must not change the outcome of fencing

    def flush(self) -> None:
        """Do nothing: nothing is held back."""


def _write_all(descriptor: int, data: bytes) -> None:
    while data:
        data = data[os.write(descriptor, data) :]


class _Stderr:
    """Standard error with a budget for the whole run."""

    def __init__(self) -> None:
        self.left = _STDERR_BUDGET

    def put(self, data: bytes) -> None:
        """Write one message, cut to size; the first that is too much becomes a closing line."""
        if len(data) > _STDERR_MESSAGE:
            data = data[:_STDERR_MESSAGE].decode(errors="ignore").encode() + b" [cut]\n"
        if self.left <= 0:
            return
        if len(data) + len(_STDERR_FULL) > self.left:
            data, self.left = _STDERR_FULL, 0
        self.left -= len(data)
        if sys.stderr is None:
            return
        _waiting.show("")
        try:
            # Past the text layer, which may write more bytes than we count: "\\u20ac" for one sign.
            descriptor = sys.stderr.fileno()
        except (OSError, ValueError):
            sys.stderr.write(data.decode())  # an object put there, for instance by a test
        else:
            if not _takes_more(descriptor):
                self.left = 0  # nobody reads it; do not wait for each message
                return
            _write_all(descriptor, data)


def _takes_more(descriptor: int) -> bool:
    """Whether a message can be written without blocking, now or within _PATIENCE.

    A pipe that nobody reads must not keep a machine from being switched off. One that takes
    anything takes a message whole.
    """
    import select

    poller = select.poll()
    poller.register(descriptor, select.POLLOUT)
    return bool(poller.poll(1000 * _PATIENCE))


class _WaitingLine:
    """The line on a person's terminal that says what is being waited for."""

    def __init__(self) -> None:
        self.is_wanted = True
        self._shown = ""

    def show(self, text: str) -> None:
        """Write over the line. When the terminal is gone, or stopped, show nothing any more."""
        if not self.is_wanted or not (text or self._shown):
            return
        try:
            able = os.environ.get("TERM", "dumb") not in ("", "dumb")  # to go to a line's start
            person = sys.stdin.isatty() and sys.stderr.isatty()
            self.is_wanted = able and person and _takes_more(sys.stderr.fileno())
            if self.is_wanted:
                self._write(_escaped(text))
        except (AttributeError, OSError, ValueError):
            self.is_wanted = False

    def _write(self, text: str) -> None:
        """One column stays free: a line that fills the last one could not be written over.

        What stood there goes with spaces: not every terminal knows a sequence for that. With it
        goes the ^C that the terminal shows behind it.
        """
        descriptor = sys.stderr.fileno()
        room = (os.get_terminal_size(descriptor).columns or 80) - 1
        text = text[:room]
        blank = ""
        if len(text) < len(self._shown):
            blank = "\r" + " " * min(len(self._shown) + len("^C"), room)
        self._shown = max(self._shown, text, key=len)  # a signal may come before it is written
        _write_all(descriptor, f"{blank}\r{text}".encode())
        self._shown = text


def show_waiting(text: str) -> None:
    """Say on the terminal what is being waited for, on one line that each call writes over.

    It vanishes before a message or a result is shown, and at exit. Where no person sits at a
    terminal, and with `--quiet`, nothing happens; a terminal that is gone is no error.

    :param text: one line, cut to the terminal's width; "" removes it
    """
    _waiting.show(text)


_stderr = _Stderr()
_waiting = _WaitingLine()
_handlers: list[logging.Handler] = []  # ours on the root logger


def _program() -> str:
    return os.path.basename(sys.argv[0]) or "fence agent"


def _stream_handler(put: Put, level: int) -> logging.Handler:
    import logging

    handler: logging.Handler = logging.StreamHandler(_Stream(put))
    handler.setFormatter(logging.Formatter(_LOG_FORMAT))
    handler.setLevel(level)
    return handler


_SYSLOG = "/dev/log"
_LOG_DAEMON = 3 << 3  # the facility; this number and the severities are RFC 3164's


def _send_to_syslog(lines: Sequence[str]) -> None:
    """Give lines to the log daemon. What it does not take at once is lost.

    Not syslog(3): that waits for a daemon that hangs, and would keep a node from being fenced.

    :raises OSError: there is no daemon, or it takes no more.
    """
    import socket

    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as log:
        log.setblocking(False)
        for line in lines:
            log.sendto(line.encode(), _SYSLOG)


def _syslog_handler(level: int) -> logging.Handler:
    """Handler that sends each line of a message to syslog."""
    import logging
    import time

    severities = {logging.DEBUG: 7, logging.INFO: 6, logging.WARNING: 4}
    sender = f"{_program()}[{os.getpid()}]"

    class SyslogHandler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            priority = _LOG_DAEMON | severities.get(record.levelno, 3)
            start = f"<{priority}>{time.strftime('%b %e %T')} {sender}: "
            try:
                lines = _escaped(self.format(record), keep="\n\t").splitlines()
                _send_to_syslog([start + line for line in lines])
            except Exception:  # nobody listens, or arguments that do not fit the message's format
                self.handleError(record)

    handler = SyslogHandler(level)
    handler.setFormatter(logging.Formatter("%(levelname)s: %(message)s"))
    return handler


def _open_debug_file(path: str) -> int:
    """Descriptor of the debug file. Refuses a symbolic link, and a FIFO that nobody reads."""
    flags = os.O_CREAT | os.O_APPEND | os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC
    return os.open(path, flags | os.O_NONBLOCK | os.O_NOCTTY, 0o600)


def _set_up_logging(options: Options) -> list[str]:
    """Send the root logger's messages to standard error, syslog and the debug file.

    Standard error gets warnings and errors, syslog also information; with `--verbose` both get
    everything, as the debug file always does. Returns problems, one sentence each.
    """
    import functools
    import logging

    logging.raiseExceptions = False
    root = logging.getLogger()
    while _handlers:
        root.removeHandler(_handlers.pop())
    verbose = bool(options.get("--verbose-level"))
    _waiting.is_wanted = "--quiet" not in options
    if "--quiet" not in options:
        level = logging.DEBUG if verbose else logging.WARNING
        _handlers.append(_stream_handler(_stderr.put, level))
    _handlers.append(_syslog_handler(logging.DEBUG if verbose else logging.INFO))
    problems = []
    if options.get("--debug-file"):
        try:
            debug_file = _open_debug_file(options["--debug-file"])
            put = functools.partial(_write_all, debug_file)
            _handlers.append(_stream_handler(put, logging.DEBUG))
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or "not a usable name"
            problems.append(f"the debug file (--debug-file) cannot be written: {reason}")
    for handler in _handlers:
        root.addHandler(handler)
    root.setLevel(min(handler.level for handler in _handlers))
    return problems


def _logger() -> logging.Logger:
    """The root logger, set up with the default options when that has not happened yet."""
    import logging

    if not _handlers:
        _set_up_logging({})
    return logging.getLogger()


def fail(code: int, stop: bool = True) -> None:
    """Log the message that belongs to a failure.

    :param code: one of the `EC_` numbers; never the exit status
    :param stop: whether to end the process
    :raises SystemExit: with 1, if `stop`
    """
    _logger().error("Failed: %s", _FAILURES.get(code, _FAILURES[EC_GENERIC_ERROR]))
    if stop:
        raise Failed(1)


def fail_usage(message: str, stop: bool = True) -> None:
    """Log a message, usually that the options are wrong.

    :param message: what is wrong; it must not hold a value that may be secret
    :param stop: whether to end the process, with a hint at `-h`
    :raises SystemExit: with 1, if `stop`
    """
    _logger().error("%s", message)
    if stop:
        _end_with_hint()


def _log_problem(problem: str) -> None:
    _logger().error("Failed: %s", problem)


def _end_with_hint() -> NoReturn:
    _logger().error("%s -h shows the options", _program())
    raise Failed(1)


# --- Ending ----------------------------------------------------------------------------------

_CLEAN_UP_LIMIT = 1.9  # seconds from a signal to the exit: a cluster waits for it


class _End:
    """The end of the process: at a signal, and with 1 whatever the agent makes of it."""

    def __init__(self) -> None:
        self.signal_name = ""  # of the one that asks for it
        self.is_failed = False  # whether the exit status has to be 1
        self._is_over = False
        self._is_logged = False
        self._is_swallowed = False

    def listen(self) -> None:
        """Raise Interrupted at the first signal from now on.

        Not for a signal that the agent handles itself, nor for one that whoever started it has
        ignored, as nohup does.
        """
        import faulthandler
        import signal

        # Here, not when the signal comes: then nothing may fail.
        self._leave_after = faulthandler.dump_traceback_later
        self._nowhere = open(os.devnull, "w")  # noqa: SIM115 (until the process ends)
        usual = (signal.SIG_DFL, signal.default_int_handler)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGALRM):
            if signal.getsignal(number) in usual:
                signal.signal(number, self._note)
        sys.unraisablehook = self._raise_again

    def _raise_again(self, swallowed: Any) -> None:
        """Come back soon where Python lets no exception out: at a fork, in a destructor."""
        import signal

        ours = signal.getsignal(signal.SIGALRM) == self._note
        if swallowed.exc_type is not Interrupted:
            sys.__unraisablehook__(swallowed)
        elif ours:  # else _leave_after ends it
            self._is_swallowed = True
            signal.setitimer(signal.ITIMER_REAL, 0.05)

    def _note(self, number: int, frame: object) -> None:
        import signal

        if self.signal_name and not self._is_swallowed:
            return
        self.signal_name = self.signal_name or signal.Signals(number).name
        self._is_swallowed = False
        try:
            # A thread that needs nothing of Python's, so that nothing can hold it up: at its end
            # it writes where every thread is, and leaves with 1.
            self._leave_after(_CLEAN_UP_LIMIT, exit=True, file=self._nowhere)
        finally:
            if not self._is_over:
                raise Interrupted(self.signal_name)

    def log(self) -> None:
        """Say which signal it was, once."""
        if self.signal_name and not self._is_logged:
            self._is_logged = True
            _logger().error("ended by %s", self.signal_name)

    def conclude(self) -> None:
        """Leave with 1 if that is due. From here on a signal changes nothing."""
        self._is_over = True
        _waiting.show("")
        self.log()
        if self.signal_name or self.is_failed:
            os._exit(1)  # the exit status cannot be changed otherwise at this point


_end = _End()
# Before any function of the agent is registered: so it runs after all of them.
atexit.register(lambda: _end.conclude())


# --- Checking --------------------------------------------------------------------------------


def _is_number(text: str, fraction: bool) -> bool:
    """Whether the text is a plain decimal number, with or without a fraction, and not negative."""
    whole, point, part = text.partition(".")
    if point and not (fraction and part.isascii() and part.isdigit()):
        return False
    return whole.isascii() and whole.isdigit() and len(whole) <= _NUMBER_DIGITS


def _split_plugs(options: Options) -> list[str]:
    """The plugs asked for, each once."""
    separator = options.get("--plug-separator")
    text = options.get("--plug") or ""
    plugs = [plug.strip() for plug in (text.split(separator) if separator else [text])]
    return list(dict.fromkeys(plug for plug in plugs if plug))


def _is_required(name: str, device_opt: Sequence[str]) -> bool:
    if name == "login" and "no_login" in device_opt:
        return False
    return bool(all_opt[name].get("required") == "1")


def _missing_problems(names: Sequence[str], options: Options) -> list[str]:
    """Required options without a value; password and action have checks of their own."""
    missing = []
    for name in names:
        absent = not options.get(_key(name))
        if name == "port":
            absent = options["--action"] in _PLUG_ACTIONS and not _split_plugs(options)
        if absent and name != "action" and _is_required(name, options["device_opt"]):
            missing.append(f"{_key(name)} is missing ({_newer(name)}= on standard input)")
    return missing


def _value_problem(name: str, value: str) -> str | None:
    """What is wrong with the value of an option; the value itself is not shown."""
    entry, shown = all_opt[name], _shown(_key(name))
    kind = entry.get("type")
    if kind == "integer" and not _is_number(value, fraction=False):
        return f"{shown} must be a whole number, not negative"
    if kind == "second" and not _is_number(value, fraction=True):
        return f"{shown} must be a number of seconds, not negative"
    choices = entry.get("choices")
    if choices and value.lower() not in [choice.lower() for choice in choices]:
        return f"{shown} must be one of: {', '.join(choices)}"
    if not _takes_value(name) and _boolean(value) is None:
        return _NO_SWITCH.format(shown)
    if name == "disable_timeout" and _boolean(value) is None:
        return f"{shown} must be true or false"
    return None


def _value_problems(names: Sequence[str], options: Options) -> list[str]:
    given = [name for name in names if _key(name) in options]
    found = [_value_problem(name, str(options[_key(name)])) for name in given]
    return [problem for problem in found if problem]


def _with_defaults(names: Sequence[str], given: Options) -> Options:
    """The given options and the defaults; a choice is written as `all_opt` writes it."""
    defaults = {
        _key(name): all_opt[name]["default"] for name in names if "default" in all_opt[name]
    }
    options = {**defaults, **given}
    for name in names:
        spelling = {choice.lower(): choice for choice in all_opt[name].get("choices", [])}
        if spelling and _key(name) in options:
            value = str(options[_key(name)])
            options[_key(name)] = spelling.get(value.lower(), value)
    return options


def _normal_action(text: str) -> str:
    action = text.strip().lower()
    return "metadata" if action == "meta-data" else action


def _wants_docs(options: Options) -> bool:
    return "--help" in options or "--version" in options or options["--action"] in _DOC_ACTIONS


def _script_password(script: str, timeout: float) -> Pair:
    """Password that a shell command prints, and what is wrong when there is none."""
    status, output, _ = _run(["/bin/sh", "-c", script], timeout)
    if status is None:
        return "", f"the password script did not end within {timeout:g} seconds"
    if status != 0:
        return "", f"the password script ended with status {status}: run it by hand to see why"
    line = output.partition(b"\n")[0].rstrip(b"\r")
    try:
        password = line.decode()
    except UnicodeDecodeError:
        return "", "the password script printed something that is not UTF-8 text"
    return password, None if password else "the password script printed no password"


def _password_problem(options: Options) -> str | None:
    """Put the password into the options from the script if it was not given."""
    device_opt = options["device_opt"]
    if "passwd" not in device_opt or options.get("--password"):
        return None
    script = options.get("--password-script")
    if script:
        limit = str(options["--login-timeout"])
        if not _is_number(limit, fraction=True):
            return None  # reported already
        password, problem = _script_password(script, float(limit))
        if password:
            options["--password"] = password
        return problem
    return None if "no_password" in device_opt else "--password or --password-script is missing"


def check_input(device_opt: Sequence[str], opt: Options, other_conditions: bool = False) -> Options:
    """Add the defaults, set up logging, and check everything.

    All problems are logged, one message each, before the process ends, whatever the action. A
    bad value of an option that only says what is logged is warned of, and counts as not given.
    With `metadata`, `manpage`, `-h` and `-V` nothing is checked, logged or run. With all other
    actions, signals are listened to from here on: see `Interrupted`.

    :param device_opt: as for `process_input`
    :param opt: what `process_input` returned
    :param other_conditions: the agent has checks of its own: `validate-all` then returns, and the
        agent ends it. When problems were found here the exit status is 1, whatever the agent says
    :returns: the options, with `options["device_opt"]` and `--verbose-level` as a number
    :raises SystemExit: with 1 when something is wrong; with 0 after a good `validate-all`
    """
    _refuse_unknown_words(device_opt)
    names = _option_names(device_opt)
    options = _with_defaults(names, opt)
    options["device_opt"] = device_opt
    options["--action"] = _normal_action(options["--action"])
    warnings = _drop_odd_logging(options)
    options["--verbose-level"] = int(options.get("--verbose-level", "--verbose" in options))
    if _wants_docs(options):
        return options
    _end.listen()
    if options["--verbose-level"]:
        options["--verbose"] = "1"
    for warning in warnings + _set_up_logging(options):
        _logger().warning("ignored: %s", warning)
    problems = _problems(names, options)
    for problem in problems:
        _log_problem(problem)
    if options["--action"] == "validate-all" and other_conditions:
        _end.is_failed = bool(problems)
        return options
    if problems:
        _end_with_hint()
    if options["--action"] == "validate-all":
        sys.exit(0)
    return options


def _drop_odd_logging(options: Options) -> list[str]:
    """Remove what makes no sense as a value of a logging option; what is wrong with each.

    An empty value counts as none, too: `quiet=` of a template that had nothing to fill in must
    not hide the messages.
    """
    found = []
    for name in (*_LOG_SWITCHES, "verbose_level"):
        problem = _value_problem(name, str(options.get(_key(name), "1")))
        if problem:
            found.append(problem)
            del options[_key(name)]
    return found


def _problems(names: Sequence[str], options: Options) -> list[str]:
    """Everything that is wrong with the options. Runs the password script if there is need to."""
    problems = _value_problems(names, options)
    if options["--action"] not in _ACTION_NAMES:
        problems.append(f"--action must be one of: {', '.join(_ACTION_NAMES)}")
    problems += _missing_problems(names, options)
    password_problem = _password_problem(options)
    return [*problems, password_problem] if password_problem else problems


# --- Documentation ---------------------------------------------------------------------------


def _help_parts(name: str) -> tuple[str, str]:
    """Command line form of an option and its description, both taken from the help line."""
    form, _, text = str(all_opt[name]["help"]).strip().partition("  ")
    return form, text.strip()


def _description(name: str) -> str:
    return str(all_opt[name].get("shortdesc") or _help_parts(name)[1])


def _sorted_names(names: Iterable[str]) -> list[str]:
    return sorted(names, key=lambda name: (all_opt[name].get("order", 0), name))


def _terminal_width() -> int:
    """Columns of the terminal, at least 40, 80 when there is none; COLUMNS overrides."""
    columns = os.environ.get("COLUMNS", "")
    if not _is_number(columns, fraction=False):
        try:
            columns = str(os.get_terminal_size(1).columns)
        except OSError:
            columns = ""
    return max(40, int(columns or 0) or 80)


def _wrap(text: str, width: int) -> list[str]:
    """Lines of at most `width` characters; a longer word has a line of its own."""
    lines: list[str] = []
    for word in text.split():
        if lines and len(lines[-1]) + 1 + len(word) <= width:
            lines[-1] += " " + word
        else:
            lines.append(word)
    return lines


def _option_help(name: str, width: int) -> list[str]:
    form, text = _help_parts(name)
    default = all_opt[name].get("default")
    if default is not None:
        text += f" (default: {default})"
    indent = 34 if width >= 70 else 12
    lines = _wrap(text, width - indent - 1)
    head = f"   {form}"
    if lines and len(head) < indent:
        head = head.ljust(indent) + lines.pop(0)
    return [head, *(" " * indent + line for line in lines)]


def _usage_text(names: Iterable[str], width: int, docs: Mapping[str, Any]) -> str:
    program = _program()
    lines = ["Usage:", f"   {program} [options]", f"   {program} < lines of name=value"]
    left = _sorted_names(names)
    for last, heading in _GROUPS:
        group = [name for name in left if all_opt[name].get("order", 0) <= last]
        left = left[len(group) :]
        lines += ["", f"{heading}:"] if group else []
        for name in group:
            lines += _option_help(name, width)
    if docs.get("examples"):
        lines += ["", "Examples:", *_indented(str(docs["examples"]), width)]
    return "\n".join(lines) + "\n"


def _indented(text: str, width: int) -> list[str]:
    """Prose wrapped, examples as they are; no blank line between the two."""
    lines = []
    for line in filter(str.strip, text.splitlines()):
        is_example = line.startswith("    ")
        lines += [f"   {line}"] if is_example else [f"   {part}" for part in _wrap(line, width - 4)]
    return lines


def _xml(text: object) -> str:
    escaped = str(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return escaped.replace('"', "&quot;")


def _content_lines(name: str) -> list[str]:
    entry = all_opt[name]
    default = f' default="{_xml(entry["default"])}"' if "default" in entry else ""
    if entry.get("choices"):
        choices = [f'\t\t\t<option value="{_xml(choice)}" />' for choice in entry["choices"]]
        return [f'\t\t<content type="select"{default} >', *choices, "\t\t</content>"]
    kind = entry.get("type", "string" if _takes_value(name) else "boolean")
    return [f'\t\t<content type="{kind}"{default} />']


def _parameter_lines(name: str, shown: str, mark: str, required: bool) -> list[str]:
    """A `<parameter>` element called `shown`; `mark` is its deprecated or obsoletes attribute."""
    return [
        f'\t<parameter name="{_xml(shown)}" unique="0" required="{int(required)}"{mark}>',
        f'\t\t<getopt mixed="{_xml(_help_parts(name)[0])}" />',
        *_content_lines(name),
        f'\t\t<shortdesc lang="en">{_xml(_description(name))}</shortdesc>',
        "\t</parameter>",
    ]


def _parameters(device_opt: Sequence[str]) -> list[str]:
    """All `<parameter>` elements; an option with a newer name has one under each name."""
    rows = []
    for name in _option_names(device_opt):
        order, newer = all_opt[name].get("order", 0), _newer(name)
        mark = "" if newer == name else f' obsoletes="{_xml(name)}"'
        rows.append((order, newer, name, mark))
        if mark:
            rows.append((order, name, name, ' deprecated="1"'))
    lines = []
    for _, shown, name, mark in sorted(rows):
        lines += _parameter_lines(name, shown, mark, _is_required(name, device_opt))
    return lines


def _metadata_text(device_opt: Sequence[str], docs: Mapping[str, Any]) -> str:
    agent = _xml(docs.get("agent_name") or _program())
    links = [
        f'<symlink name="{_xml(link)}" shortdesc="{_xml(text)}"/>'
        for link, text in docs.get("symlink", [])
    ]
    marks = {"on": ' automatic="0"'}
    actions = [f'\t<action name="{name}"{marks.get(name, "")}/>' for name in _ACTION_NAMES]
    lines = [
        '<?xml version="1.0" ?>',
        f'<resource-agent name="{agent}" shortdesc="{_xml(docs["shortdesc"])}" >',
        *links,
        f"<longdesc>{_xml(docs['longdesc'])}</longdesc>",
        f"<vendor-url>{_xml(docs['vendorurl'])}</vendor-url>",
        "<parameters>",
        *_parameters(device_opt),
        "</parameters>",
        "<actions>",
        *actions,
        "</actions>",
        "</resource-agent>",
    ]
    # Character references make the result independent of the locale.
    return "\n".join(lines).encode("ascii", "xmlcharrefreplace").decode() + "\n"


def show_docs(options: Options, docs: Mapping[str, Any]) -> None:
    """Print what `-h`, `-V`, `metadata` or `manpage` ask for and exit; return for other actions.

    `manpage` prints the metadata, too: the field's tools make a page of it.

    :param options: what `check_input` returned
    :param docs: `shortdesc`, `longdesc`, `vendorurl`; optionally `agent_name`, `symlink` (pairs of
        name and description), and `examples` that `-h` ends with: lines of prose, and commands
        indented by four spaces
    :raises SystemExit: with 0, or with 1 when standard output does not take the text
    """
    device_opt = options["device_opt"]
    if "--help" in options:
        _print_or_fail(_usage_text(_option_names(device_opt), _terminal_width(), docs))
    elif "--version" in options:
        _print_or_fail(RELEASE_VERSION + "\n")
    elif options["--action"] in _DOC_ACTIONS:
        _print_or_fail(_metadata_text(device_opt, docs))
    else:
        return
    sys.exit(0)


# --- Standard output -------------------------------------------------------------------------


def _print(text: str) -> str | None:
    """Write to standard output at once. Returns the reason when that fails.

    Whatever is printed after that goes nowhere, so that it cannot fail again.
    """
    _waiting.show("")
    if sys.stdout is None:
        return "it is closed"
    encoding = sys.stdout.encoding or "utf-8"
    try:
        sys.stdout.write(text.encode(encoding, "backslashreplace").decode(encoding))
        sys.stdout.flush()
    except (OSError, ValueError) as error:
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115 (until the process ends)
        return getattr(error, "strerror", None) or "it is closed"
    return None


def _print_or_fail(text: str) -> None:
    """Print an answer: what the action was for, so without it the action failed."""
    problem = _print(text)
    if problem:
        _logger().error("standard output cannot be written: %s", problem)
        raise Failed(1)


def _stdout_takes_more() -> bool:
    try:
        return _takes_more(sys.stdout.fileno())
    except (AttributeError, OSError, ValueError):
        return True  # it is closed, or an object put there


def _announce(text: str) -> None:
    """Print what was done: it stays done when nobody can be told."""
    problem = _print(text + "\n") if _stdout_takes_more() else "nobody reads it"
    if problem:
        message = "%s (this could not be written to standard output: %s)"
        _logger().warning(message, text, problem)


def atexit_handler() -> None:
    """Close standard output; a failure then, with output lost, makes the exit status 1.

    To be registered with `atexit`.
    """
    if sys.stdout is None:
        return
    try:
        sys.stdout.close()
    except (OSError, ValueError):
        _logger().error("standard output cannot be written")
        os._exit(1)  # the exit status cannot be changed otherwise at this point


# --- Actions ---------------------------------------------------------------------------------


def run_delay(options: Options) -> None:
    """Wait `--delay` seconds, counted from the start of the process, before off and reboot.

    :param options: what `check_input` returned
    """
    if options["--action"] not in ("off", "reboot"):
        return
    delay = float(options["--delay"])
    elapsed = max(0.0, clock.monotonic() - process_start)
    if elapsed < delay:
        _logger().info("waiting until %g seconds after the start (--delay)", delay)
        clock.sleep(delay - elapsed)


def _timeout_lifted(options: Options) -> bool:
    """Whether the caller, not this process, ends an action that takes too long."""
    given = options.get("--disable-timeout")
    if given is None:
        return os.environ.get("PCMK_service") == "pacemaker-fenced"  # noqa: SIM112
    return bool(_boolean(given))


class _Power:
    """The plugs of one run and how to ask and switch them."""

    def __init__(
        self,
        conn: Any,
        options: Options,
        get_power_fn: GetPower,
        set_power_fn: SetPower | None,
        sync_set_power_fn: Succeeds | None,
    ) -> None:
        self.conn = conn
        self.options = options
        self.plugs = options["--plugs"]
        self._get = get_power_fn
        self._set = set_power_fn
        self._sync_set = sync_set_power_fn

    def each(self, function: Callable[[Any, Options], Any]) -> list[Any]:
        """Call a function of the agent for every plug; its answers."""
        answers = []
        for plug in self.plugs:
            self.options["--plug"] = plug
            answers.append(function(self.conn, self.options))
        return answers

    def states(self) -> list[str]:
        """Power status of every plug, as the agent reports it."""
        return self.each(self._get)

    def note(self, states: Sequence[str]) -> None:
        """Log what was seen. Not what an agent says before it switches: that may be a guess."""
        _logger().debug("status of %s: %s", ", ".join(self.plugs), ", ".join(map(str, states)))

    def first_states(self) -> list[str]:
        """The same before anything is switched: then each must be on or off."""
        states = self.states()
        if not all(state in ("on", "off") for state in states):
            fail(EC_STATUS)
        return states

    def reach(self, wanted: str) -> bool:
        """Switch all plugs on or off; whether all reported so in time."""
        self.options["--action"] = wanted
        attempts = int(self.options["--retry-on"]) if wanted == "on" else 1
        return any(self._switch(wanted) for _ in range(max(1, attempts)))

    def _switch(self, wanted: str) -> bool:
        if self._set is None and self._sync_set is not None:
            return all(self.each(self._sync_set))
        if self._set is None:
            raise ValueError("fence_action needs set_power_fn or sync_set_power_fn")
        _logger().debug("switching %s %s", ", ".join(self.plugs), wanted)
        self.each(self._set)
        pause = float(self.options["--power-wait"])
        if pause:
            clock.sleep(pause)
        return self._wait_for(wanted)

    def _wait_for(self, wanted: str) -> bool:
        """Ask until every plug has the wanted status; False after `--power-timeout` seconds."""
        begin = noted = clock.monotonic()
        limit = float(self.options["--power-timeout"])
        deadline = float("inf") if _timeout_lifted(self.options) else begin + limit
        pause = max(_MIN_PAUSE, float(self.options["--stonith-status-sleep"]))
        while True:
            states = self.states()
            self.note(states)
            if all(state == wanted for state in states):
                return True
            now = clock.monotonic()
            plugs = [plug for plug, state in zip(self.plugs, states) if state != wanted]
            if now >= deadline:
                message = "%s: not %s after %g seconds (--power-timeout)"
                _logger().error(message, ", ".join(plugs), wanted, limit)
                return False
            if now - noted >= _NOTE_INTERVAL:
                noted = now
                message = "waiting for %s to be %s since %d seconds"
                _logger().info(message, ", ".join(plugs), wanted, now - begin)
            clock.sleep(min(pause, deadline - now))


def _switch_action(power: _Power, wanted: str) -> None:
    word = wanted.upper()
    if all(state == wanted for state in power.first_states()):
        _announce(f"Success: Already {word}")
        return
    if not power.reach(wanted):
        fail(EC_WAITING_ON if wanted == "on" else EC_WAITING_OFF)
    _announce(f"Success: Powered {word}")


def _cycle(power: _Power, cycle_fn: Succeeds) -> None:
    """Reboot every plug by the device's own cycle, each up to `--retry-on` times."""
    attempts = max(1, int(power.options["--retry-on"]))

    def cycle_one(conn: Any, options: Options) -> bool:
        done = any(cycle_fn(conn, options) for _ in range(attempts))
        if not done:
            _logger().error("%s: the power cycle failed", options["--plug"])
        return done

    if not all(power.each(cycle_one)):
        fail(EC_GENERIC_ERROR)


def _off_then_on(power: _Power, states: Sequence[str]) -> None:
    """Reboot as off, then on. With the machine verified off, a failing on is only logged."""
    if any(state != "off" for state in states) and not power.reach("off"):
        fail(EC_WAITING_OFF)
    try:
        if not power.reach("on"):
            fail(EC_WAITING_ON, stop=False)
    except Failed:
        pass  # logged where it was raised; an exit that is not `fail`'s goes on, as a signal's
    except Exception as error:
        # The text of a foreign exception: it must not bring the password into the log.
        password = power.options.get("--password")
        text = str(error).replace(password, "********") if password else str(error)
        _logger().error("switching on failed: %s: %s", type(error).__name__, text)


def _reboot_action(power: _Power, cycle_fn: Succeeds | None) -> None:
    states = power.first_states()
    if cycle_fn and str(power.options.get("--method")).lower() == "cycle":
        _cycle(power, cycle_fn)
    else:
        _off_then_on(power, states)
    power.options["--action"] = "reboot"
    _announce("Success: Rebooted")


def _status_action(power: _Power) -> int:
    """Print the status: OFF, with exit status 2, only if every plug is off."""
    states = power.first_states()
    power.note(states)
    off = all(state == "off" for state in states)
    _print_or_fail(f"Status: {'OFF' if off else 'ON'}\n")
    return 2 if off else 0


def _outlet_line(plug: str, outlet: Outlet, separator: str, with_status: bool) -> str:
    alias, status = outlet
    columns = [plug, alias or ""]
    if with_status:
        columns.append(status if status and status.lower() in ("on", "off") else "UNKNOWN")
    return separator.join(_escaped(column) for column in columns) + "\n"


def _list_action(conn: Any, options: Options, get_outlet_list: GetOutlets | None) -> None:
    action = options["--action"]
    if get_outlet_list is None:
        fail_usage(f"this agent has no action {action}")
        return
    outlets = get_outlet_list(conn, options)
    if action == "monitor":
        return
    separator = options.get("--separator", ",")
    with_status = action == "list-status"
    lines = [_outlet_line(plug, outlets[plug], separator, with_status) for plug in sorted(outlets)]
    _print_or_fail("".join(lines))


def fence_action(
    conn: Any,
    options: Options,
    set_power_fn: SetPower | None,
    get_power_fn: GetPower,
    get_outlet_list: GetOutlets | None = None,
    reboot_cycle_fn: Succeeds | None = None,
    sync_set_power_fn: Succeeds | None = None,
) -> int:
    """Run the action in `options["--action"]`.

    The functions are called as `function(conn, options)`, with the plug in `options["--plug"]`
    (all of them are in `options["--plugs"]`) and "on" or "off" in `options["--action"]` while
    switching, also within a reboot.

    :param conn: handed to the functions as it is
    :param options: what `check_input` returned
    :param set_power_fn: switches one plug; it need not wait for the effect
    :param get_power_fn: returns "on" or "off"; other answers are accepted only while waiting
    :param get_outlet_list: returns `{plug: (alias, status)}`, for list, list-status and monitor
    :param reboot_cycle_fn: reboots one plug at once (`--method=cycle`); returns whether it worked
    :param sync_set_power_fn: used if `set_power_fn` is None: switches one plug, waits for the
        effect, returns whether it came
    :returns: exit status: 2 for `status` if all plugs are off, else 0
    :raises SystemExit: with 1 when the action failed; `Interrupted` when a signal ended it
    """
    options["--plugs"] = _split_plugs(options)
    power = _Power(conn, options, get_power_fn, set_power_fn, sync_set_power_fn)
    try:
        return _act(power, get_outlet_list, reboot_cycle_fn)
    except Interrupted:
        _end.log()
        raise


def _act(power: _Power, get_outlet_list: GetOutlets | None, cycle_fn: Succeeds | None) -> int:
    """Run the action; the exit status."""
    action = power.options["--action"]
    if action in _PLUG_ACTIONS and not power.plugs:
        fail_usage("--plug is missing")
    if action == "status":
        return _status_action(power)
    if action in ("on", "off"):
        _switch_action(power, action)
    elif action == "reboot":
        _reboot_action(power, cycle_fn)
    elif action == "monitor" and get_outlet_list is None:
        power.states()
    else:
        _list_action(power.conn, power.options, get_outlet_list)
    return 0


# --- Commands --------------------------------------------------------------------------------


def is_executable(path: str) -> bool:
    """Return whether `path` is a file that this process may execute."""
    return os.path.isfile(path) and os.access(path, os.X_OK)


def _run(
    command: Sequence[str], timeout: float, env: Mapping[str, str] | None = None
) -> tuple[int | None, bytes, bytes]:
    """Exit status (None after the time limit), standard output and standard error of a command.

    The command has a process group of its own, which is killed whenever we do not see its end.
    """
    import contextlib
    import signal
    import subprocess

    pipe = subprocess.PIPE
    with subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=pipe,
        stderr=pipe,
        env=env,
        start_new_session=True,
    ) as process:
        try:
            output, errors = process.communicate(timeout=timeout)
        except BaseException as problem:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            if isinstance(problem, subprocess.TimeoutExpired):
                return None, b"", b""
            raise
        return process.returncode, output, errors


def frun(
    command: str,
    timeout: float = 30,
    withexitstatus: bool = False,
    events: Any = None,
    extra_args: Any = None,
    logfile: Any = None,
    cwd: str | None = None,
    env: Any = None,
    **kwargs: Any,
) -> Any:
    """Run a command in a pseudo-terminal; nothing is logged. The parameters are pexpect.run's.

    :param timeout: seconds; then its process group is killed, and what it printed returned
    :returns: its output as text; with `withexitstatus` output and exit status, None at the limit
    """
    import contextlib
    import signal

    import pexpect

    kwargs = {"encoding": "utf-8", "codec_errors": "replace", **kwargs}
    if events or extra_args:
        return pexpect.run(
            command, timeout, withexitstatus, events, extra_args, logfile, cwd, env, **kwargs
        )
    child = pexpect.spawn(command, timeout=timeout, logfile=logfile, cwd=cwd, env=env, **kwargs)
    try:
        child.expect(pexpect.EOF)
    except BaseException as problem:  # a signal, too: nothing may be left behind
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)
        if not isinstance(problem, pexpect.TIMEOUT):
            raise
    finally:
        child.close()
    return (child.before, child.exitstatus) if withexitstatus else child.before


def fspawn(options: Options, command: str, **kwargs: Any) -> Any:
    """Start a command in a pseudo-terminal.

    :param options: what `check_input` returned
    :returns: a `pexpect.spawn` with `log_expect(pattern, timeout)` and `send_eol(message)`. What is
        sent and received is never logged
    """
    import pexpect

    class Spawned(pexpect.spawn):  # type: ignore[misc]  # it is Any
        def log_expect(self, pattern: Any, timeout: float) -> int:
            found = self.expect(pattern, timeout)
            _logger().debug("pattern %d of %s was found", found, command.partition(" ")[0])
            return found

        def send_eol(self, message: str) -> int:
            return self.send(message + str(options.get("eol", "\r\n")))

    return Spawned(command, **{"encoding": "utf-8", "codec_errors": "replace", **kwargs})


def run_command(
    options: Options,
    command: str | Sequence[str],
    timeout: float | None = None,
    env: Mapping[str, str] | None = None,
    log_command: str | None = None,
) -> tuple[int, str, str]:
    """Run a command without a shell; what it prints is never logged.

    :param options: what `check_input` returned
    :param command: words, or one string that is split as a shell would
    :param timeout: seconds, by default `--shell-timeout`; then its process group is killed
    :param env: its environment, by default ours
    :param log_command: what the log shows in place of a command that holds a secret
    :returns: exit status (negative: killed by that signal), standard output, standard error
    :raises SystemExit: with 1 when the command cannot be started or takes too long
    """
    import shlex

    limit = float(options["--shell-timeout"]) if timeout is None else timeout
    shown = log_command if log_command is not None else str(command)
    _logger().debug("running: %s", shown)
    try:
        words = shlex.split(command) if isinstance(command, str) else command
        status, output, errors = _run(words, limit, env)
    except (OSError, ValueError, IndexError) as error:
        reason = getattr(error, "strerror", None) or "not a usable command"
        _logger().error("cannot run %s: %s", shown, reason)
        raise Failed(1) from None
    if status is None:
        _logger().error("not finished after %g seconds, killed: %s", limit, shown)
        raise Failed(1)
    message = "exit status %d, %d bytes on standard output, %d on standard error"
    _logger().debug(message, status, len(output), len(errors))
    return status, output.decode(errors="replace"), errors.decode(errors="replace")


# --- Beside other agents ---------------------------------------------------------------------

_DISTRIBUTION = "/usr/share/fence"


def _is_mistaken() -> bool:
    """Whether the program wants the distribution's library: it names that folder, and not ours.

    Python looks for a module beside the program first: a copy of this file in the folder of all
    agents would be imported by every one of them. Where our folder has been named, it is in the
    path once more than Python has put it there by itself (with -I it does not).
    """
    if _DISTRIBUTION not in sys.path or sys.flags.isolated or getattr(sys.flags, "safe_path", 0):
        return False
    folders = [os.path.realpath(folder) for folder in sys.path]
    here = os.path.dirname(os.path.realpath(__file__))
    return os.path.dirname(os.path.realpath(sys.argv[0])) == here and folders.count(here) == 1


def _step_aside() -> None:
    """Leave this module's name to the distribution's library."""
    from importlib.util import module_from_spec, spec_from_file_location

    spec = spec_from_file_location(__name__, os.path.join(_DISTRIBUTION, "fencing.py"))
    if spec and spec.loader:
        sys.modules[__name__] = module = module_from_spec(spec)
        spec.loader.exec_module(module)


if _is_mistaken() and os.path.isfile(os.path.join(_DISTRIBUTION, "fencing.py")):
    _step_aside()

"""`docs/time-to-fence.svg`: how long `off` takes, against how long the provider's reboot takes.

This repository's agent runs on a virtual clock in the process of the simulator, the one that
distributions ship as it is installed (`bench/shipped_agent.py`). The figures are in the picture's
<metadata>, so that a test can tell when they are stale. `make bench` takes all of them anew,
`make plot` those of this repository's agent.
"""

from __future__ import annotations

import json
import math
import pathlib
import xml.etree.ElementTree as ElementTree
from typing import Any, Callable
from xml.sax.saxutils import escape

from bench.shipped_agent import DURATIONS, Outcome
from tests import harness
from tests.safety.schedule import Schedule
from tests.safety.scripted import Stage
from tests.safety.simulated_run import RestWorld, World

PLOT = harness.REPOSITORY / "docs" / "time-to-fence.svg"

REBOOTS = (30, *range(60, 721, 60))
"""Seconds that the provider's hard reboots take."""

CUT_DELAY, BOOT_DELAY = 5, 20
DEFAULTS = {
    "stonith_status_sleep": "2",
    "power_timeout": "900",
    "shell_timeout": "30",
    "login_timeout": "30",
}
"""Seconds; the agent's own defaults, where the search for faults has others."""

APIS: dict[str, type[World]] = {"soap": World, "rest": RestWorld}

Figures = dict[str, Any]
"""What is drawn: `soap` and `rest` have (seconds of the reboot, seconds until exit 0); `shipped`
(seconds of the reboot, seconds until exit, exit status, seconds until the power cut), and the
name of the error that it ended with, if any."""


def time_to_fence(kind: type[World], reboot: int) -> float:
    """Seconds that this agent's `off` takes, of the virtual clock."""
    rest = reboot - CUT_DELAY - BOOT_DELAY
    schedule = Schedule(cut_delay=CUT_DELAY, boot_delay=BOOT_DELAY, rest=rest)
    stage = Stage(kind, schedule, **DEFAULTS)
    world = stage.run()
    assert world.status == 0 and stage.booted() == ["rescue"], world.log
    return round(stage.duration(), 2)


def ours() -> Figures:
    """This agent's figures."""
    return {
        api: [[reboot, time_to_fence(kind, reboot)] for reboot in REBOOTS]
        for api, kind in APIS.items()
    }


def of_shipped(package: str, outcomes: dict[str, Outcome]) -> Figures:
    """The figures of the agent that distributions ship."""
    runs = [[reboot, outcomes[f"off {reboot}"]] for reboot in DURATIONS]
    return {
        "package": package,
        "error": runs[-1][1].reason.partition(":")[0],
        "runs": [
            [reboot, round(run.usage.wall, 1), run.usage.status, round(run.cut, 1)]
            for reboot, run in runs
        ],
    }


def read(path: pathlib.Path = PLOT) -> Figures:
    """The figures in a picture."""
    metadata = ElementTree.parse(path).getroot().find("{http://www.w3.org/2000/svg}metadata")
    assert metadata is not None and metadata.text
    figures: Figures = json.loads(metadata.text)
    return figures


def update(shipped: Figures | None = None) -> Figures:
    """Write the picture and return its figures; without `shipped` those stay as they were."""
    figures = {**ours(), "shipped": shipped or read()["shipped"]}
    PLOT.write_text(draw(figures), "utf-8")
    return figures


# The picture. It has its own light background: the page around it may be dark.

WIDTH, HEIGHT = 760, 640
LEFT, RIGHT = 78, 730
UPPER, LOWER = (78, 378), (446, 536)
"""The two diagrams: y of their top and of their bottom."""

LONGEST = 720
MOST_LATE = 6
"""Where the axes end, in seconds."""

INK, FAINT, LINE, REFERENCE = "#1f2328", "#59636e", "#d1d9e0", "#b7bfc8"
COLOURS = {"rest": "#0550ae", "soap": "#bc4c00", "shipped": "#cf222e"}

Scale = Callable[[float], float]


def draw(figures: Figures) -> str:
    """The picture, an SVG document."""
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img"'
        ' font-family="Helvetica, Arial, sans-serif" font-size="13"'
        f' fill="{INK}" aria-labelledby="title">',
        '<title id="title">Time to fence against the duration of the reboot, simulated</title>',
        f"<metadata>{_figures_as_text(figures)}</metadata>",
        f'<rect width="{WIDTH}" height="{HEIGHT}" rx="8" fill="#ffffff"/>',
        _text(LEFT, 30, "Time to fence, simulated", size=18, weight="bold"),
        _text(
            LEFT, 50, "from the start of off to its exit, against the duration of the hard reboot"
        ),
        *_time_to_fence(figures),
        *_lateness(figures),
        *_caption(figures),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def _figures_as_text(figures: Figures) -> str:
    lines = [f'"{name}": {json.dumps(figures[name])}' for name in (*APIS, "shipped")]
    return escape("{" + ",\n".join(lines) + "}")


def _time_to_fence(figures: Figures) -> list[str]:
    x, y = _scale(LONGEST, LEFT, RIGHT), _scale(LONGEST, UPPER[1], UPPER[0])
    runs = figures["shipped"]["runs"]
    return [
        *_axes(x, y, range(0, LONGEST + 1, 120), UPPER, "seconds until exit"),
        _line([(x(0), y(0)), (x(LONGEST), y(LONGEST))], REFERENCE, width=8),
        *(
            _line([(x(reboot), y(seconds)) for reboot, seconds in figures[api]], COLOURS[api], 2)
            for api in APIS
        ),
        _text(x(390), y(445), "this agent, REST and SOAP: exit 0", COLOURS["rest"], anchor="end"),
        _text(x(425), y(385), "grey: the provider says that the reboot is over", FAINT),
        *(_cross(x(reboot), y(seconds)) for reboot, seconds, _, _ in runs),
        _text(x(80), y(26), f"shipped agent: {_in_words(figures['shipped'])}", COLOURS["shipped"]),
    ]


def _in_words(shipped: Figures) -> str:
    """How the shipped agent's runs ended."""
    runs, error = shipped["runs"], shipped["error"]
    statuses = " or ".join(sorted({str(status) for _, _, status, _ in runs}))
    slowest = math.ceil(max(seconds for _, seconds, _, _ in runs))
    early = all(seconds < cut for _, seconds, _, cut in runs)
    return (
        f"exit {statuses}{f' ({error})' if error else ''} within {slowest} s"
        f"{'; the power is cut later' if early else ''}"
    )


def _lateness(figures: Figures) -> list[str]:
    x, y = _scale(LONGEST, LEFT, RIGHT), _scale(MOST_LATE, LOWER[1], LOWER[0])
    heading = LOWER[0] - 14
    return [
        _text(LEFT, heading, "this agent, closer: from the end of the reboot to exit 0"),
        _text(RIGHT - 60, heading, "REST", COLOURS["rest"], anchor="end"),
        _text(RIGHT, heading, "SOAP", COLOURS["soap"], anchor="end"),
        *_axes(x, y, range(0, MOST_LATE + 1, 2), LOWER, "seconds"),
        *(
            _dot(x(reboot), y(seconds - reboot), COLOURS[api])
            for api in APIS
            for reboot, seconds in figures[api]
        ),
        _text((LEFT + RIGHT) / 2, LOWER[1] + 38, "duration of the hard reboot", anchor="middle"),
    ]


def _caption(figures: Figures) -> list[str]:
    """What was measured and how."""
    shipped = figures["shipped"]
    lines = (
        "All against the simulator in tests/, not against OVH: a real hard reboot takes 2 to 12 minutes."
        f" Power cut {CUT_DELAY} s after",
        "it begins. This agent: on a virtual clock, 0.05 s per call, a look every"
        f" {DEFAULTS['stonith_status_sleep']} s. Shipped agent ({shipped['package']}):",
        "as installed, in network namespaces, in real time. Written by make bench, figures inside.",
    )
    return [
        _text(LEFT, LOWER[1] + 62 + 15 * number, line, FAINT, size=11)
        for number, line in enumerate(lines)
    ]


def _scale(most: float, begin: float, end: float) -> Scale:
    return lambda value: begin + (end - begin) * value / most


def _axes(x: Scale, y: Scale, ticks: range, place: tuple[int, int], unit: str) -> list[str]:
    """Grid, ticks, and the name of the vertical axis; the horizontal one is in minutes."""
    middle = (place[0] + place[1]) / 2
    parts = [
        f'<text transform="translate({LEFT - 48} {middle:.0f}) rotate(-90)"'
        f' text-anchor="middle" fill="{FAINT}">{unit}</text>'
    ]
    for tick in ticks:
        parts.append(_line([(LEFT, y(tick)), (RIGHT, y(tick))], LINE))
        parts.append(_text(LEFT - 8, y(tick) + 4, str(tick), FAINT, anchor="end"))
    for tick in range(0, LONGEST + 1, 120):
        parts.append(_line([(x(tick), place[0]), (x(tick), place[1])], LINE))
        label = f"{tick // 60} min" if tick else "0"
        parts.append(_text(x(tick), place[1] + 18, label, FAINT, anchor="middle"))
    return parts


def _line(points: list[tuple[float, float]], colour: str, width: int = 1) -> str:
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    return f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="{width}"/>'


def _dot(x: float, y: float, colour: str) -> str:
    return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4" fill="{colour}"/>'


def _cross(x: float, y: float) -> str:
    path = f"M{x - 5:.1f} {y - 5:.1f}l10 10m0 -10l-10 10"
    return f'<path d="{path}" stroke="{COLOURS["shipped"]}" stroke-width="2"/>'


def _text(
    x: float,
    y: float,
    words: str,
    colour: str = INK,
    anchor: str = "start",
    size: int = 13,
    weight: str = "normal",
) -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" fill="{colour}" text-anchor="{anchor}"'
        f' font-size="{size}" font-weight="{weight}">{escape(words)}</text>'
    )


if __name__ == "__main__":
    update()

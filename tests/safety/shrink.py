"""Makes a failing schedule or race shorter, and code of it."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any, Callable

Fails = Callable[[Any], bool]
Put = Callable[[Any], Any]

LEFT_ALONE = ("luck", "poll", "task_unseen_status")
"""Numbers of which a smaller one is nothing less."""

MOST_ROUNDS = 3


def shrunk(data: Any, fails: Fails) -> Any:
    """The data with as much as possible dropped, one thing at a time, while it still fails."""
    for _ in range(MOST_ROUNDS):
        smaller = _once(data, fails)
        if smaller == data:
            break
        data = smaller
    return data


def _once(data: Any, fails: Fails) -> Any:
    """The same after one try to drop each thing."""
    if dataclasses.is_dataclass(data):
        for entry in dataclasses.fields(data):
            data = _without_field(data, entry, fails)
        return data
    if isinstance(data, tuple):
        return _shorter(data, fails)
    if isinstance(data, int) and not isinstance(data, bool):
        return next((less for less in _less(data) if fails(less)), data)
    return data


def _without_field(data: Any, entry: dataclasses.Field[Any], fails: Fails) -> Any:
    """The dataclass with that field as it is by default, or smaller."""
    value = getattr(data, entry.name)
    usual = dataclasses.replace(data, **{entry.name: entry.default})
    if value == entry.default or fails(usual):
        return usual
    if entry.name in LEFT_ALONE:
        return data

    def put(less: Any) -> Any:
        return dataclasses.replace(data, **{entry.name: less})

    return put(_once(value, lambda less: fails(put(less))))


def _shorter(items: tuple[Any, ...], fails: Fails) -> tuple[Any, ...]:
    """The tuple with fewer or smaller items. One with a text in it is a record: it stays whole."""
    is_record = any(isinstance(each, str) for each in items)
    for number in reversed(range(len(items))):
        before, item, after = items[:number], items[number], items[number + 1 :]
        if not is_record and fails((*before, *after)):
            items = (*before, *after)
        else:
            put = _between(before, after)
            items = put(_once(item, lambda less, put=put: fails(put(less))))
    return items


def _between(before: tuple[Any, ...], after: tuple[Any, ...]) -> Put:
    return lambda item: (*before, item, *after)


def _less(number: int) -> Iterator[int]:
    return iter(dict.fromkeys([0, number // 4, number // 2]) if number > 0 else ())


def code(data: Any) -> str:
    """The data as Python, without what is as it is by default."""
    if isinstance(data, tuple):
        inner = ", ".join(code(each) for each in data)
        return f"({inner},)" if len(data) == 1 else f"({inner})"
    if not dataclasses.is_dataclass(data):
        return repr(data)
    given = [
        f"{entry.name}={code(getattr(data, entry.name))}"
        for entry in dataclasses.fields(data)
        if getattr(data, entry.name) != entry.default
    ]
    return f"{type(data).__name__}({', '.join(given)})"

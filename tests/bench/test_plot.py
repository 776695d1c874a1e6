"""The picture in docs/ shows what this agent does now."""

from __future__ import annotations

from bench import plot


def test_the_checked_in_plot_is_not_stale() -> None:
    figures = plot.read()
    stale = "stale: run make plot"
    assert {api: figures[api] for api in plot.APIS} == plot.ours(), stale
    assert plot.draw(figures) == plot.PLOT.read_text("utf-8"), stale

"""Rows per second over time, as an SVG that stretches; the labels are text beside it."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import pairwise
from math import ceil, log10
from typing import TYPE_CHECKING

from sync.markup import Markup, tag

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sync.model import Sample
    from sync.snapshot import Snapshot
    from sync.ui.reader import Reader

WIDTH, HEIGHT = 1000, 100
LINES = 4  # grid lines above zero
TIME_LABELS_MAX = 6
TIME_STEPS_S = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 43200, 86400)


def throughput(snapshot: Snapshot, reader: Reader) -> Markup:
    """The chart of the run that is shown."""
    samples = snapshot.samples
    if len(samples) < 2:
        text = reader.gettext("The chart begins with the first rows.")
        return tag("div", tag("p", text, class_="bs-text note"), class_="bs-plot empty")
    top = _round_up(max(sample.rows_per_s for sample in samples))
    points = _points(samples, top)
    svg = tag(
        "svg",
        tag("path", d=_area(points), class_="area"),
        tag("path", d=_line(points), class_="line", vector_effect="non-scaling-stroke"),
        *_tips(samples, points, reader),
        viewBox=f"0 0 {WIDTH} {HEIGHT}",
        preserveAspectRatio="none",
        role="img",
        aria_label=_alt(samples, reader),
    )
    return tag(
        "div",
        tag("div", *_rates(top, reader), class_="rates", aria_hidden="true"),
        tag("div", svg, class_="canvas"),
        tag("div", *_times(samples, reader), class_="times", aria_hidden="true"),
        class_="bs-plot",
    )


def sparkline(values: Sequence[float]) -> Markup | None:
    """The same in a table's cell, without labels."""
    if len(values) < 2 or max(values) <= 0:
        return None
    step, top = WIDTH / (len(values) - 1), max(values)
    points = [(step * i, HEIGHT * (1 - value / top)) for i, value in enumerate(values)]
    svg = tag(
        "svg",
        tag("path", d=_area(points), class_="area"),
        tag("path", d=_line(points), class_="line", vector_effect="non-scaling-stroke"),
        viewBox=f"0 -4 {WIDTH} {HEIGHT + 8}",
        preserveAspectRatio="none",
        aria_hidden="true",
    )
    return tag("div", svg, class_="bs-spark")


def _points(samples: Sequence[Sample], top: float) -> list[tuple[float, float]]:
    first, span = samples[0].at, _seconds(samples)
    return [
        (WIDTH * (s.at - first).total_seconds() / span, HEIGHT * (1 - s.rows_per_s / top))
        for s in samples
    ]


def _line(points: Sequence[tuple[float, float]]) -> str:
    return "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in points)


def _area(points: Sequence[tuple[float, float]]) -> str:
    return f"{_line(points)}L{points[-1][0]:.1f} {HEIGHT}L{points[0][0]:.1f} {HEIGHT}Z"


def _tips(
    samples: Sequence[Sample], points: Sequence[tuple[float, float]], reader: Reader
) -> list[Markup]:
    """An unseen bar over each sample that tells time and rate under the mouse."""
    edges = [0.0, *((a[0] + b[0]) / 2 for a, b in pairwise(points)), WIDTH]
    return [
        tag(
            "rect",
            tag("title", f"{reader.clock(s.at, seconds=True)} · {reader.rate(s.rows_per_s)}"),
            x=f"{left:.1f}",
            y=0,
            width=f"{right - left:.1f}",
            height=HEIGHT,
            class_="tip",
        )
        for s, (left, right) in zip(samples, pairwise(edges), strict=True)
    ]


def _rates(top: float, reader: Reader) -> list[Markup]:
    steps = range(LINES, -1, -1)
    return [tag("span", reader.short(top * step / LINES)) for step in steps]


def _times(samples: Sequence[Sample], reader: Reader) -> list[Markup]:
    """Round times of day, each where it belongs under the chart."""
    first, span = samples[0].at, _seconds(samples)
    step = next((s for s in TIME_STEPS_S if span / s <= TIME_LABELS_MAX), ceil(span))
    start = ceil(first.timestamp() / step) * step
    moments = range(start, int(first.timestamp() + span) + 1, step)
    return [
        tag(
            "span",
            reader.clock(datetime.fromtimestamp(moment, UTC), seconds=step < 60),
            style=f"left: {(moment - first.timestamp()) / span:.2%}",
        )
        for moment in moments
    ]


def _alt(samples: Sequence[Sample], reader: Reader) -> str:
    text = reader.gettext(
        "Rows per second from {start} to {end}: at the end {last}, at most {most}."
    )
    return text.format(
        start=reader.clock(samples[0].at, seconds=True),
        end=reader.clock(samples[-1].at, seconds=True),
        last=reader.number(samples[-1].rows_per_s),
        most=reader.number(max(sample.rows_per_s for sample in samples)),
    )


def _seconds(samples: Sequence[Sample]) -> float:
    return max((samples[-1].at - samples[0].at).total_seconds(), 0.001)


def _round_up(value: float) -> float:
    """The next number that divides well into the grid's lines."""
    if value <= 0:
        return float(LINES)
    unit: float = 10 ** int(log10(value))
    steps = (0.4, 0.8, 1, 1.2, 1.6, 2, 2.4, 3.2, 4, 6, 8, 10)
    return next(unit * step for step in steps if unit * step >= value)

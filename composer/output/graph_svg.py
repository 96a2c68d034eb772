"""The dependency graph as an SVG picture: levels as columns, drawn by drawsvg. Needs no program of the system."""

import itertools
from typing import NamedTuple

import drawsvg

from composer.output.graph_text import caption, details
from composer.topology import Edge, Node, Topology

_BOX_WIDTH, _COLUMN_GAP, _ROW_GAP, _MARGIN = 230, 110, 26, 30
_LINE_HEIGHT, _FONT = 16, "sans-serif"
_PLAIN, _CRITICAL, _GREY = "#334155", "#b91c1c", "#94a3b8"
_SWEEPS = 4


class _Box:
    """Where a service is drawn; without a node it is the place where an edge crosses a column."""

    def __init__(self, node: Node | None, column: int) -> None:
        self.node = node
        self.column = column
        self.lines = details(node) if node else []
        self.x, self.y = _MARGIN + column * (_BOX_WIDTH + _COLUMN_GAP), 0.0
        self.height = _LINE_HEIGHT * (len(self.lines) + 1) + 14 if node else 2

    @property
    def middle(self) -> float:
        return self.y + self.height / 2


class _Layout(NamedTuple):
    services: dict[str, _Box]
    routes: list[tuple[Edge, list[_Box]]]  # every edge with the boxes it leads through, both ends included


def render_svg(topology: Topology) -> str:
    """Services that depend on nothing are on the right; arrows point to what is needed."""
    layout = _place(topology)
    boxes = layout.services
    width = max((box.x + _BOX_WIDTH for box in boxes.values()), default=0) + _MARGIN
    height = max((box.y + box.height for _, route in layout.routes for box in route), default=0)
    height = max(height, *(box.y + box.height for box in boxes.values()), 0) + _MARGIN
    drawing = drawsvg.Drawing(width, height)
    drawing.append(drawsvg.Rectangle(0, 0, width, height, fill="white"))
    arrows = {colour: _arrow(colour) for colour in (_PLAIN, _CRITICAL, _GREY)}
    for edge, route in layout.routes:
        _draw_edge(drawing, edge, route, arrows)
    for box in boxes.values():
        _draw_box(drawing, box)
    text: str = drawing.as_svg()
    return text + "\n"


def _place(topology: Topology) -> _Layout:
    """A column for each level. An edge across columns gets a place in each of them, so that no box hides it."""
    last = len(topology.levels) - 1
    columns: list[list[_Box]] = [[] for _ in topology.levels]
    services = {node.name: _Box(node, last - node.level) for node in topology.nodes}
    for node in topology.nodes:
        columns[last - node.level].append(services[node.name])
    routes = []
    for edge in topology.edges:
        start, end = services[edge.service], services[edge.needs]
        crossings = [_Box(None, number) for number in range(start.column + 1, end.column)]
        for crossing in crossings:
            columns[crossing.column].append(crossing)
        routes.append((edge, [start, *crossings, end]))
    neighbours: dict[_Box, list[_Box]] = {}
    for _, route in routes:
        for left, right in itertools.pairwise(route):
            neighbours.setdefault(left, []).append(right)
            neighbours.setdefault(right, []).append(left)
    _untangle(columns, neighbours)
    return _Layout(services, routes)


def _untangle(columns: list[list[_Box]], neighbours: dict[_Box, list[_Box]]) -> None:
    """Fewer crossings: each box moves towards the mean height of those it is connected with, a few times over."""
    for _ in range(_SWEEPS):
        for column in columns:
            y = float(_MARGIN)
            for box in column:
                box.y = y
                y += box.height + _ROW_GAP
        highest = max((box.y + box.height for column in columns for box in column), default=0)
        for column in columns:
            shift = (highest - column[-1].y - column[-1].height) / 2
            for box in column:
                box.y += shift
        for column in columns:
            means = {
                box: _mean([other.middle for other in neighbours.get(box, ())], box.middle) for box in column
            }
            column.sort(key=means.__getitem__)


def _mean(values: list[float], default: float) -> float:
    return sum(values) / len(values) if values else default


def _arrow(colour: str) -> drawsvg.Marker:
    arrow = drawsvg.Marker(-0.1, -0.51, 0.9, 0.5, scale=9, orient="auto")
    arrow.append(drawsvg.Lines(-0.1, 0.5, -0.1, -0.5, 0.9, 0, fill=colour, close=True))
    return arrow


def _draw_edge(
    drawing: drawsvg.Drawing, edge: Edge, route: list[_Box], arrows: dict[str, drawsvg.Marker]
) -> None:
    colour = _CRITICAL if edge.critical else _GREY if edge.implied else _PLAIN
    path = drawsvg.Path(
        stroke=colour,
        stroke_width=2 if edge.critical else 1.3,
        fill="none",
        marker_end=arrows[colour],
        **({"stroke_dasharray": "4 4"} if edge.implied else {}),
    )
    path.M(route[0].x + _BOX_WIDTH, route[0].middle)
    for left, right in itertools.pairwise(route):
        x1, x2 = left.x + _BOX_WIDTH, right.x - (9 if right.node else 0)
        bend = (x2 - x1) / 2
        path.L(x1, left.middle).C(x1 + bend, left.middle, x2 - bend, right.middle, x2, right.middle)
    drawing.append(path)
    words = caption(edge)
    if words:
        x, y = route[0].x + _BOX_WIDTH + 6, route[0].middle + (route[1].middle - route[0].middle) * 0.12 - 5
        drawing.append(drawsvg.Text(words, 11, x, y, fill=colour, font_family=_FONT))


def _draw_box(drawing: drawsvg.Drawing, box: _Box) -> None:
    if box.node is None:
        return
    colour = _CRITICAL if box.node.critical else _PLAIN
    drawing.append(
        drawsvg.Rectangle(
            box.x, box.y, _BOX_WIDTH, box.height, rx=6, fill="#f8fafc", stroke=colour, stroke_width=1.5
        )
    )
    x, y = box.x + 10, box.y + 20
    drawing.append(drawsvg.Text(_short(box.node.name), 14, x, y, font_weight="bold", font_family=_FONT))
    for number, line in enumerate(box.lines, 1):
        where = y + number * _LINE_HEIGHT
        drawing.append(drawsvg.Text(_short(line), 11, x, where, fill="#475569", font_family=_FONT))


def _short(text: str) -> str:
    return text if len(text) <= 34 else f"{text[:33]}…"

"""The graph of dependencies between services: cycles, levels, order. Pure.

A project without a cycle is the usual case and is told by graphlib: importing networkx takes longer than a load.
"""

import graphlib
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import networkx as nx

Dependencies = Mapping[str, tuple[str, ...]]


def _generations(dependencies: Dependencies) -> Iterator[tuple[str, ...]]:
    """Services level by level, dependencies first. Raises graphlib.CycleError before the first one."""
    sorter: graphlib.TopologicalSorter[str] = graphlib.TopologicalSorter()
    for name, others in dependencies.items():
        sorter.add(name, *(other for other in others if other in dependencies))
    sorter.prepare()
    while sorter.is_active():
        ready = sorter.get_ready()
        yield ready
        sorter.done(*ready)


def _graph(dependencies: Dependencies) -> "nx.DiGraph[str]":
    import networkx as nx

    graph: nx.DiGraph[str] = nx.DiGraph()
    graph.add_nodes_from(dependencies)
    graph.add_edges_from(
        (name, other) for name, others in dependencies.items() for other in others if other in dependencies
    )
    return graph


def cycles(dependencies: Dependencies) -> list[tuple[str, ...]]:
    """One cycle of every knot of services that wait for each other, each starting at its first name."""
    try:
        next(_generations(dependencies), None)
    except graphlib.CycleError:
        return _knots(_graph(dependencies))
    return []


def _knots(graph: "nx.DiGraph[str]") -> list[tuple[str, ...]]:
    import networkx as nx

    found = []
    for knot in nx.strongly_connected_components(graph):
        if len(knot) == 1 and not graph.has_edge(*(list(knot) * 2)):
            continue
        edges = nx.find_cycle(graph.subgraph(knot), min(knot))
        nodes = [edge[0] for edge in edges]
        first = nodes.index(min(nodes))
        found.append(tuple(nodes[first:] + nodes[:first]))
    return sorted(found)


def levels(dependencies: Dependencies) -> dict[str, int]:
    """The level of each service: 0 without dependencies, else one above the highest it depends on.

    Services come in an order in which dependencies are first, by name within a level. Raises ValueError on a cycle.
    """
    try:
        generations = list(_generations(dependencies))
    except graphlib.CycleError:
        raise ValueError("the dependencies have a cycle") from None
    return {name: level for level, names in enumerate(generations) for name in sorted(names)}

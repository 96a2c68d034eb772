"""The graph of dependencies between services: cycles, levels, order. Pure."""

from collections.abc import Mapping

import networkx as nx

Dependencies = Mapping[str, tuple[str, ...]]


def _graph(dependencies: Dependencies) -> "nx.DiGraph[str]":
    graph: nx.DiGraph[str] = nx.DiGraph()
    graph.add_nodes_from(dependencies)
    graph.add_edges_from(
        (name, other) for name, others in dependencies.items() for other in others if other in dependencies
    )
    return graph


def cycles(dependencies: Dependencies) -> list[tuple[str, ...]]:
    """One cycle of every knot of services that wait for each other, each starting at its first name."""
    graph = _graph(dependencies)
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
    if cycles(dependencies):
        raise ValueError("the dependencies have a cycle")
    generations = nx.topological_generations(_graph(dependencies).reverse(copy=False))
    return {name: level for level, names in enumerate(generations) for name in sorted(names)}

"""What the dependencies of a project tell as a graph: levels, what is implied, the longest chain. Pure.

networkx does the analysis; `output.graph_text` and `output.graph_svg` draw what is found here.
"""

from typing import NamedTuple

import networkx as nx

from composer.model.project import Project
from composer.model.service import Service

DEFAULT_NETWORK = "default"


class Node(NamedTuple):
    """One service. `level` is 0 without dependencies, else one above the highest it depends on."""

    name: str
    level: int
    image: str
    replicas: int
    networks: tuple[str, ...]
    volumes: tuple[str, ...]
    critical: bool  # on the longest chain of dependencies


class Edge(NamedTuple):
    """`service` depends on `needs`. `implied`: the order follows from other edges as well."""

    service: str
    needs: str
    condition: str
    required: bool
    restart: bool
    implied: bool
    critical: bool


class Topology(NamedTuple):
    """Nodes by level, then name; `critical_path` starts at the service that has to be up first."""

    project: str
    nodes: tuple[Node, ...]
    edges: tuple[Edge, ...]
    critical_path: tuple[str, ...]

    @property
    def levels(self) -> tuple[tuple[Node, ...], ...]:
        """The nodes of each level, from those that depend on nothing."""
        count = max((node.level for node in self.nodes), default=-1) + 1
        return tuple(tuple(node for node in self.nodes if node.level == level) for level in range(count))

    def needs(self, service: str) -> tuple[Edge, ...]:
        """What a service depends on."""
        return tuple(edge for edge in self.edges if edge.service == service)

    @property
    def roots(self) -> tuple[Node, ...]:
        """Services that no other depends on."""
        needed = {edge.needs for edge in self.edges}
        return tuple(node for node in self.nodes if node.name not in needed)


def analyse(project: Project) -> Topology:
    """The topology of a project's active services. Their dependencies have no cycle: loading has seen to it."""
    graph: nx.DiGraph[str] = nx.DiGraph()
    graph.add_nodes_from(sorted(project.services))
    for name in sorted(project.services):
        others = sorted(other for other in project.services[name].depends_on if other in project.services)
        graph.add_edges_from((name, other) for other in others)
    reduced = nx.transitive_reduction(graph)
    chain = tuple(reversed(nx.dag_longest_path(graph))) if graph.number_of_edges() else ()
    steps = set(zip(chain[1:], chain, strict=False))
    levels = nx.topological_generations(graph.reverse(copy=False))
    nodes = tuple(
        _node(project, project.services[name], level, name in chain)
        for level, names in enumerate(levels)
        for name in sorted(names)
    )
    edges = tuple(
        _edge(project, name, other, not reduced.has_edge(name, other), (name, other) in steps)
        for name, other in graph.edges
    )
    return Topology(project.name, nodes, edges, chain)


def _node(project: Project, service: Service, level: int, critical: bool) -> Node:
    # A network that every service is on by itself tells nothing.
    networks = tuple(key for key in service.networks if key != DEFAULT_NETWORK or len(service.networks) > 1)
    volumes = tuple(
        dict.fromkeys(mount.source for mount in service.volumes if mount.type == "volume" and mount.source)
    )
    image = service.image or ("(built)" if service.build else "")
    return Node(service.name, level, image, service.replicas, networks, volumes, critical)


def _edge(project: Project, name: str, other: str, implied: bool, critical: bool) -> Edge:
    entry = project.services[name].depends_on[other]
    return Edge(name, other, entry.condition, entry.required, entry.restart, implied, critical)

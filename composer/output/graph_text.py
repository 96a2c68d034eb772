"""The dependency graph as text: a tree for terminals, DOT, Mermaid and JSON."""

import json
from typing import Any

from composer.output.terminal import Terminal
from composer.topology import Edge, Node, Topology

_CONDITIONS = {"service_healthy": "healthy", "service_completed_successfully": "completed"}


def caption(edge: Edge) -> str:
    """What an edge waits for and what is special about it; "" for a plain start."""
    words = [_CONDITIONS[edge.condition]] if edge.condition in _CONDITIONS else []
    words += ["optional"] if not edge.required else []
    words += ["restart"] if edge.restart else []
    return ", ".join(words)


def details(node: Node) -> list[str]:
    """Lines about a service below its name."""
    lines = [node.image] if node.image else []
    lines += [f"replicas: {node.replicas}"] if node.replicas != 1 else []
    lines += [f"networks: {', '.join(node.networks)}"] if node.networks else []
    lines += [f"volumes: {', '.join(node.volumes)}"] if node.volumes else []
    return lines


def render_tree(topology: Topology, terminal: Terminal) -> str:
    """Every service that no other needs, with what it needs below it; then levels and the longest chain."""
    from rich.console import Console
    from rich.text import Text
    from rich.tree import Tree

    nodes = {node.name: node for node in topology.nodes}
    shown: set[str] = set()

    def label(node: Node, edge: Edge | None) -> Text:
        text = Text().append(node.name, style="bold red" if node.critical else "bold")
        words = caption(edge) if edge else ""
        if words:
            text.append(f" ({words})", style="yellow")
        rest = " · ".join(details(node)) if node.name not in shown else "↑"
        return text.append(f"  {rest}", style="dim")

    def grow(tree: Tree, name: str, edge: Edge | None) -> None:
        branch = tree.add(label(nodes[name], edge))
        if name in shown:
            return
        shown.add(name)
        for needed in topology.needs(name):
            grow(branch, needed.needs, needed)

    tree = Tree(Text(topology.project, style="bold"))
    for root in reversed(topology.roots):
        grow(tree, root.name, None)
    console = Console(
        width=200, force_terminal=terminal.colour, color_system="standard" if terminal.colour else None
    )
    with console.capture() as captured:
        console.print(tree)
    lines = [line.rstrip() for line in captured.get().rstrip("\n").split("\n")]
    for number, level in enumerate(topology.levels):
        lines.append(f"level {number}: {', '.join(node.name for node in level)}")
    if topology.critical_path:
        lines.append(f"longest chain: {' -> '.join(topology.critical_path)}")
    return "\n".join(lines) + "\n"


def render_dot(topology: Topology) -> str:
    """For Graphviz: edges point to what is needed; implied ones are dotted, the longest chain is red."""
    lines = [f"digraph {_quoted(topology.project)} {{", "  rankdir=LR", "  node [shape=box, fontname=sans]"]
    for node in topology.nodes:
        colour = ", color=red" if node.critical else ""
        lines.append(
            f"  {_quoted(node.name)} [label={_quoted(chr(10).join([node.name, *details(node)]))}{colour}]"
        )
    for edge in topology.edges:
        attributes = [f"label={_quoted(caption(edge))}"] if caption(edge) else []
        attributes += ["style=dotted"] if edge.implied else []
        attributes += ["color=red"] if edge.critical else []
        tail = f" [{', '.join(attributes)}]" if attributes else ""
        lines.append(f"  {_quoted(edge.service)} -> {_quoted(edge.needs)}{tail}")
    for level in topology.levels:
        lines.append(f"  {{ rank=same; {'; '.join(_quoted(node.name) for node in level)} }}")
    return "\n".join([*lines, "}"]) + "\n"


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'


def render_mermaid(topology: Topology) -> str:
    """A flowchart for Mermaid; services are n0, n1, … there, as their names may be Mermaid's own words."""
    ids = {node.name: f"n{index}" for index, node in enumerate(topology.nodes)}
    lines = ["flowchart LR"]
    for node in topology.nodes:
        text = "<br/>".join(_escaped(line) for line in [node.name, *details(node)])
        lines.append(f'  {ids[node.name]}["{text}"]')
    for edge in topology.edges:
        words = caption(edge)
        arrow = "-.->" if edge.implied else "==>" if edge.critical else "-->"
        label = f'|"{_escaped(words)}"|' if words else ""
        lines.append(f"  {ids[edge.service]} {arrow}{label} {ids[edge.needs]}")
    return "\n".join(lines) + "\n"


def _escaped(text: str) -> str:
    for character, entity in (("#", "#35;"), ('"', "#quot;"), ("<", "#lt;"), (">", "#gt;")):
        text = text.replace(character, entity)
    return text


def render_json(topology: Topology) -> str:
    """Nodes, edges and the longest chain."""
    document: dict[str, Any] = {
        "project": topology.project,
        "services": [node._asdict() for node in topology.nodes],
        "dependencies": [edge._asdict() for edge in topology.edges],
        "critical_path": topology.critical_path,
    }
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"

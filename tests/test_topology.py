"""What `graph` finds and draws."""

import json
import xml.etree.ElementTree as ElementTree

import composer
from composer.output.graph_svg import render_svg
from composer.output.graph_text import render_dot, render_json, render_mermaid, render_tree
from composer.output.terminal import Terminal
from composer.topology import Topology, analyse

TEXT = """
name: shop
services:
  db: {image: pg, volumes: [data:/data], networks: [back]}
  cache: {image: redis}
  migrate: {image: app, depends_on: {db: {condition: service_healthy}}}
  api:
    image: app
    scale: 3
    depends_on:
      db: {condition: service_healthy}
      cache: {condition: service_started, required: false, restart: true}
      migrate: {condition: service_completed_successfully}
  web: {image: 'ng"<x>', depends_on: [api, cache]}
  alone: {build: .}
networks: {back: }
volumes: {data: }
"""


def topology() -> Topology:
    return analyse(composer.load(text=TEXT, environ={}))


def test_levels_and_the_longest_chain() -> None:
    found = topology()
    assert [[node.name for node in level] for level in found.levels] == [
        ["alone", "cache", "db"],
        ["migrate"],
        ["api"],
        ["web"],
    ]
    assert found.critical_path == ("db", "migrate", "api", "web")
    assert [node.name for node in found.roots] == ["alone", "web"]


def test_edges_that_follow_from_others_are_implied() -> None:
    implied = {(edge.service, edge.needs) for edge in topology().edges if edge.implied}
    assert implied == {("api", "db"), ("web", "cache")}


def test_the_tree_shows_each_service_in_full_once() -> None:
    import io

    text = render_tree(topology(), Terminal(io.StringIO(), "never"))
    assert text.splitlines()[:3] == ["shop", '├── web  ng"<x>', "│   ├── api  app · replicas: 3"]
    assert "db (healthy)  pg · networks: back · volumes: data" in text
    assert text.count("volumes: data") == 1
    assert "cache (optional, restart)" in text
    assert text.splitlines()[-1] == "longest chain: db -> migrate -> api -> web"


def test_dot_escapes_what_it_quotes() -> None:
    text = render_dot(topology())
    assert '"web" [label="web\\nng\\"<x>", color=red]' in text
    assert '"api" -> "db" [label="healthy", style=dotted]' in text


def test_mermaid_names_nodes_by_number() -> None:
    text = render_mermaid(topology())
    assert text.startswith("flowchart LR\n")
    assert 'n5["web<br/>ng#quot;#lt;x#gt;"]' in text
    assert "n5 ==> n4" in text


def test_json_has_everything() -> None:
    document = json.loads(render_json(topology()))
    assert document["critical_path"] == ["db", "migrate", "api", "web"]
    edge = next(e for e in document["dependencies"] if (e["service"], e["needs"]) == ("api", "cache"))
    assert (edge["condition"], edge["required"], edge["restart"]) == ("service_started", False, True)


def test_svg_is_a_picture_in_which_nothing_overlaps() -> None:
    root = ElementTree.fromstring(render_svg(topology()))
    boxes = [
        tuple(float(item.get(key, "0")) for key in ("x", "y", "width", "height"))
        for item in root.iter("{http://www.w3.org/2000/svg}rect")
        if item.get("rx")
    ]
    assert len(boxes) == 6
    for number, (x, y, width, height) in enumerate(boxes):
        for other_x, other_y, *_ in boxes[number + 1 :]:
            assert other_x != x or abs(other_y - y) >= height, "two services on the same place"
        assert x + width <= float(root.get("width", "0")) and y + height <= float(root.get("height", "0"))


def test_a_project_without_services() -> None:
    empty = analyse(composer.load(text="services: {}", environ={}))
    assert empty.levels == () and empty.critical_path == ()
    assert ElementTree.fromstring(render_svg(empty)).tag.endswith("svg")

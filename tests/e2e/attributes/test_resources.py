"""Names, labels and old spellings of networks, secrets and configs; ports in their long form."""

import json
import urllib.request

import pytest

from tests.project import Project

SLEEP = "image: IMAGE, command: sleep 1000, init: true"


@pytest.mark.covers("services.*", "ports expose networks")
@pytest.mark.covers("services.*.ports[]", "app_protocol host_ip mode name protocol published target")
@pytest.mark.covers("", "networks")
@pytest.mark.covers("networks.*", "attachable name labels external driver")
@pytest.mark.covers("networks.*.external", "name")
@pytest.mark.covers("secrets.*", "name labels external")
@pytest.mark.covers("secrets.*.external", "name")
@pytest.mark.covers("configs.*", "name labels external")
@pytest.mark.covers("configs.*.external", "name")
def test_resources(project: Project) -> None:
    project.run("network", "create", "outside")
    (project.folder / "file").write_text("content")
    project.write(
        f"""
        services:
          a:
            {SLEEP.replace(", ", chr(10) + " " * 12).replace("sleep 1000", "httpd -f -p 80 -h /etc")}
            networks: [own, out, old]
            expose: ["81"]
            ports: [{{target: 80, published: PORT0, host_ip: 127.0.0.1, protocol: tcp, mode: host, name: web, app_protocol: http}}]
            secrets: [one]
            configs: [two]
          b: {{{SLEEP}, secrets: [gone], profiles: [broken]}}
          c: {{{SLEEP}, configs: [gone], profiles: [broken]}}
        networks:
          own: {{name: own-name, labels: {{kind: test}}, attachable: true, driver: bridge}}
          out: {{external: true, name: outside}}
          old: {{external: {{name: outside-too}}}}
        secrets:
          one: {{file: file, name: one-name, labels: {{kind: test}}}}
          gone: {{external: {{name: elsewhere}}}}
        configs:
          two: {{file: file, name: two-name, labels: {{kind: test}}}}
          gone: {{external: {{name: elsewhere}}}}
        """
    )
    assert "outside-too" in project.run("up", "-d", code=1).stderr
    project.run("network", "create", "outside-too")
    project.run("up", "-d")
    (own,) = json.loads(project.run("network", "inspect", "own-name").stdout)
    assert own["Labels"]["kind"] == "test" and own["Driver"] == "bridge"
    assert own["Attachable"] is True
    # What is for people and tools only is in what they read.
    config = json.loads(project.run("config", "--format", "json").stdout)
    (port,) = config["services"]["a"]["ports"]
    assert (port["name"], port["app_protocol"], port["mode"]) == ("web", "http", "host")
    assert config["secrets"]["one"]["labels"] == config["configs"]["two"]["labels"] == {"kind": "test"}
    assert (config["secrets"]["one"]["name"], config["configs"]["two"]["name"]) == ("one-name", "two-name")
    assert len(project.exec("a", "ls", "/sys/class/net").split()) == 4
    with urllib.request.urlopen(f"http://127.0.0.1:{project.ports[0]}/passwd", timeout=5) as answer:
        assert b"root:" in answer.read()
    assert "81/tcp" in project.run("ps").stdout
    assert project.exec("a", "cat", "/run/secrets/one", "/two") == "contentcontent"
    for service in ("b", "c"):
        assert "external" in project.run("--profile", "broken", "up", "-d", service, code=1).stderr
    project.run("down", "-t", "0")
    for name in ("outside", "outside-too"):
        project.run("network", "rm", name)

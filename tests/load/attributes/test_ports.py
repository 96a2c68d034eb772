"""ports."""

import pytest

from composer.model.parts import Port


def entry(target, published=None, host_ip=None, protocol="tcp"):
    values = {
        "mode": "ingress",
        "protocol": protocol,
        "target": target,
        "published": published,
        "host_ip": host_ip,
    }
    return {key: value for key, value in values.items() if value is not None}


@pytest.mark.parametrize(
    ("text", "entries"),
    [
        ("80", [entry(80)]),
        ("8080:80", [entry(80, "8080")]),
        ("127.0.0.1:8080:80/udp", [entry(80, "8080", "127.0.0.1", "udp")]),
        ("127.0.0.1::80", [entry(80, None, "127.0.0.1")]),
        ("[::1]:8080:80", [entry(80, "8080", "::1")]),
        (":8080:80", [entry(80, "8080")]),
        ("8000-8001:80-81", [entry(80, "8000"), entry(81, "8001")]),
        ("8000-8005:80", [entry(80, "8000-8005")]),
        ("80-81", [entry(80), entry(81)]),
        ("80:80/", [entry(80, "80")]),
    ],
)
def test_short_form(given, text, entries):
    assert given(f"ports: ['{text}']").printed["ports"] == entries


def test_long_form(given):
    loaded = given(
        "ports: [{target: 80, published: 8080, host_ip: 127.0.0.1, mode: host, name: web, app_protocol: http}]"
    )
    (port,) = loaded.service.ports
    assert port == Port(80, "8080", "127.0.0.1", "tcp", "host", "web", "http")


def test_equal_ports_of_two_files_are_one(given):
    loaded = given("ports: ['80:80', '81:81']", over="ports: ['80:80/tcp', '82:82']")
    assert [port["published"] for port in loaded.printed["ports"]] == ["80", "81", "82"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x", "'x' in the port 'x' is not a container port"),
        ("70000:80", "is not a host port (0 to 65535)"),
        ("80:0", "the container port of '80:0' is 0"),
        ("81-80", "runs backwards"),
        ("80-82:80-81", "differ in length"),
        ("80:80/xyz", "is not tcp, udp or sctp"),
        ("1.2.3:80:80", "'1.2.3' in the port '1.2.3:80:80' is not an IP address"),
        ("80:", "does not name a container port"),
    ],
)
def test_bad_short_form(refused, text, message):
    assert message in refused(f"ports: ['{text}']")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{published: 80}", "services.a.ports[0]: the port lacks the key 'target'"),
        ("{target: 80, host_ip: bad}", "services.a.ports[0].host_ip: 'bad' is not an IP address"),
        ("{target: 80, published: x}", "services.a.ports[0].published: 'x' is neither a port nor a range"),
        ("{target: 80, publish: 1}", "services.a.ports[0].publish: unknown key 'publish'"),
        ("1.5", "the port 1.5 is not a whole number"),
    ],
)
def test_bad_long_form(refused, text, message):
    assert message in refused(f"ports: [{text}]")


def test_a_bomb_of_ranges(refused):
    assert "more than 196608 ports" in refused(
        "ports: ['1-65535', '1-65535/udp', '1-65535/sctp', '1-65535:1-65535']"
    )

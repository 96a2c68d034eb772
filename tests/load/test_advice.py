"""Warnings about what is accepted but cannot be meant."""

import pytest


def warnings(load, services, rest=""):
    found = load(f"services:\n{services}\n{rest}").warnings
    return [line.split(": ", 2)[2] for line in found if "not honoured" not in line]


@pytest.mark.parametrize(
    ("first", "second", "clash"),
    [
        ("'80:1'", "'80:2'", True),
        ("'80:1'", "'80:2/udp'", False),
        ("'127.0.0.1:80:1'", "'80:2'", True),
        ("'127.0.0.1:80:1'", "'127.0.0.2:80:2'", False),
        ("'80-82:1-3'", "'81:1'", True),
        ("'80-82:1'", "'81:1'", False),  # one of three is taken
        ("'1'", "'1'", False),
    ],
)
def test_host_ports_of_two_services(load, first, second, clash):
    services = f"  a: {{image: i, ports: [{first}]}}\n  b: {{image: i, ports: [{second}]}}"
    found = warnings(load, services)
    assert bool(found) == clash
    assert not found or "is already that of service 'a'" in found[0]


def test_a_host_port_of_several_containers(load):
    assert "2 containers cannot all have" in warnings(load, "  a: {image: i, scale: 2, ports: ['80:80']}")[0]
    assert warnings(load, "  a: {image: i, scale: 2, ports: ['80-90:80']}") == []


def test_inactive_services_do_not_clash(load):
    assert (
        warnings(load, "  a: {image: i, ports: ['80:1']}\n  b: {image: i, profiles: [p], ports: ['80:1']}")
        == []
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("restart: allways", "'allways' is not a restart"),
        ("restart: on-failure:x", "is not a restart"),
        ("pull_policy: sometimes", "is not a pull policy"),
        ("mac_address: xyz", "is not a mac address"),
    ],
)
def test_unknown_words(load, text, message):
    assert message in warnings(load, f"  a: {{image: i, {text}}}")[0]


@pytest.mark.parametrize(
    "text", ["restart: on-failure:3", "restart: unless-stopped", "pull_policy: every_12h"]
)
def test_known_words(load, text):
    assert warnings(load, f"  a: {{image: i, {text}}}") == []


def test_one_address_for_two(load):
    use = "{image: i, networks: {n: {ipv4_address: 10.0.0.2}}}"
    assert (
        "is already the address of service 'a'"
        in warnings(load, f"  a: {use}\n  b: {use}", "networks: {n: }")[0]
    )


def test_an_external_network_with_a_driver(load):
    rest = "networks: {n: {external: true, driver: x}}"
    assert "its driver is not used" in warnings(load, "  a: {image: i, networks: [n]}", rest)[0]


def test_a_version_is_obsolete(load):
    assert "obsolete" in warnings(load, "  a: {image: i}", "version: '3'")[0]

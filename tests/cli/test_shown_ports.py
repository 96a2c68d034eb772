"""How tables show ports."""

from composer.output.ports import ShownPort, parse_exposed, render_ports


def test_as_the_reference() -> None:
    published = [
        *(ShownPort(number, "tcp", "0.0.0.0", number + 18110) for number in (80, 81)),
        *(ShownPort(number, "udp", "0.0.0.0", number) for number in (92, 90, 91)),
        *(ShownPort(number, "tcp", "::", number) for number in (7000, 7001)),
        ShownPort(80, "tcp", "0.0.0.0", 18197),
        ShownPort(80, "tcp", "::", 18190),
    ]
    assert render_ports(published) == (
        "0.0.0.0:90-92->90-92/udp, [::]:7000-7001->7000-7001/tcp,"
        " 0.0.0.0:18190->80/tcp, 0.0.0.0:18197->80/tcp, [::]:18190->80/tcp, 0.0.0.0:18191->81/tcp"
    )


def test_without_host_ports() -> None:
    ports = [*parse_exposed(["7000-7002", "99", "53/udp", "99"]), ShownPort(7003, "tcp", "::", 0)]
    assert render_ports(ports) == "53/udp, 99/tcp, 7000-7003/tcp"
    assert render_ports(parse_exposed(["web", "1-2-3", "5-3", ""])) == ""

"""The networks of a project and each service's place in them, as the planner and the engine want them. Pure."""

from collections.abc import Mapping
from typing import Any

from composer.config_hash import config_hash
from composer.load.origins import Marks, Path
from composer.model.parts import NetworkUse, Port
from composer.model.project import Network, Project
from composer.model.service import Service
from composer.plan.desired import DesiredNetwork
from composer.version import VERSION
from runtime import NetworkAttachment, PortRequest

# What `network_mode: bridge` means here: a network of the project, which goes with it.
BRIDGE_KEY = "bridge"
OPTION_SYSCTLS = "com.docker.network.endpoint.sysctls"
OPTION_INTERFACE = "com.docker.network.endpoint.ifname"
OPTION_SERIAL = "com.docker.network.ipam.serial"
_OPTION_HOST_BINDING = "com.docker.network.bridge.host_binding_ipv4"


def place_of(marks: Marks, path: Path) -> str:
    """file:line:column of a path, "" if nobody wrote it."""
    origin = marks.at(path)
    return str(origin) if origin else ""


def desired_networks(project: Project, marks: Marks, *, everything: bool) -> tuple[DesiredNetwork, ...]:
    """Every network that an active service uses, or with `everything` that the files declare."""
    services = project.services.values()
    used = {key for service in services for key in service.networks}
    desired = [
        _desired_network(key, network, project.name, marks)
        for key, network in project.networks.items()
        if key in used or everything
    ]
    if any(service.network_mode == BRIDGE_KEY for service in services):
        network = Network(_bridge_name(project))
        desired.append(_desired_network(BRIDGE_KEY, network, project.name, marks))
    return tuple(desired)


def _bridge_name(project: Project) -> str:
    return f"{project.name}_{BRIDGE_KEY}"


def _desired_network(key: str, network: Network, project: str, marks: Marks) -> DesiredNetwork:
    pools: list[dict[str, Any]] = []
    for pool in network.ipam.config if network.ipam else ():
        values = {"subnet": pool.subnet, "gateway": pool.gateway, "ip_range": pool.ip_range}
        entry: dict[str, Any] = {name: value for name, value in values.items() if value}
        pools.append({**entry, "aux_addresses": dict(pool.aux_addresses)} if pool.aux_addresses else entry)
    desired = DesiredNetwork(
        key=key,
        name=network.name,
        external=network.external,
        driver=network.driver,
        internal=network.internal,
        attachable=network.attachable,
        enable_ipv4=network.enable_ipv4 is not False,
        enable_ipv6=bool(network.enable_ipv6),
        subnets=tuple(pools),
        driver_opts=dict(network.driver_opts),
    )
    described: list[Any] = [*desired[:-1], dict(network.labels)]
    ipam_options = dict(network.ipam.options) if network.ipam else {}
    if ipam_options:  # a later addition: networks of earlier versions are to count as unchanged
        described.append(ipam_options)
    labels = {
        **network.labels,
        "com.docker.compose.network": key,
        "com.docker.compose.project": project,
        "com.docker.compose.version": VERSION,
    }
    origin = place_of(marks, ("networks", key))
    return desired._replace(
        labels=labels, config_hash=config_hash(described), origin=origin, ipam_options=ipam_options
    )


def translate_network_mode(service: Service, project: Project) -> str:
    """ContainerSpec.network_mode; a service's name becomes that of its first container."""
    kind, _, name = service.network_mode.partition(":")
    if kind == "service":
        return f"container:{first_container(project, name)}"
    return service.network_mode if kind in ("host", "none", "container") else ""


def first_container(project: Project, name: str) -> str:
    """The name of a service's first container, which others share things with."""
    other = project.services.get(name)
    return (other.container_name if other else "") or f"{project.name}-{name}-1"


def translate_attachments(service: Service, project: Project) -> tuple[NetworkAttachment, ...]:
    """The networks a service's containers join, those of the highest priority first."""
    if service.network_mode == BRIDGE_KEY:
        return (NetworkAttachment(_bridge_name(project), (service.name,), mac_address=service.mac_address),)
    joined = [
        _attachment(project.networks[key].name, service, use or NetworkUse())
        for key, use in service.networks.items()
    ]
    joined.sort(key=lambda attachment: -attachment.priority)
    if joined and service.mac_address and not joined[0].mac_address:
        joined[0] = joined[0]._replace(mac_address=service.mac_address)
    return tuple(joined)


def _attachment(network: str, service: Service, use: NetworkUse) -> NetworkAttachment:
    return NetworkAttachment(
        network=network,
        aliases=tuple(dict.fromkeys((service.name, *use.aliases))),
        ipv4_address=use.ipv4_address,
        ipv6_address=use.ipv6_address,
        mac_address=use.mac_address,
        priority=use.priority,
        gw_priority=use.gw_priority,
        interface_name=use.interface_name or use.driver_opts.get(OPTION_INTERFACE, ""),
        link_local_ips=use.link_local_ips,
        sysctls=parse_sysctls(use.driver_opts),
    )


def parse_sysctls(options: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    """What an endpoint's options say of its interface: "net.ipv4.conf.IFNAME.log_martians=1,net…"."""
    words = filter(None, options.get(OPTION_SYSCTLS, "").split(","))
    return tuple((name.strip(), value.strip()) for name, _, value in (word.partition("=") for word in words))


def translate_links(service: Service) -> tuple[tuple[str, str], ...]:
    """(alias, name) of `links` and `external_links`; a link without an alias is known by its own name anyway."""
    pairs = (link.partition(":") for link in (*service.links, *service.external_links))
    return tuple((alias, name) for name, _, alias in pairs if alias and alias != name)


def translate_ports(service: Service, project: Project) -> tuple[PortRequest, ...]:
    """Published ports; one without a host address has that of its network, if the network names one.

    None in the host's network or in no network, where there is nothing to translate (the loader warns).
    """
    if service.network_mode in ("host", "none"):
        return ()
    networks = [project.networks[key] for key in service.networks if key in project.networks]
    bindings = (network.driver_opts.get(_OPTION_HOST_BINDING, "") for network in networks)
    default = next(filter(None, bindings), "")
    return tuple(_port(port, default) for port in service.ports)


def _port(port: Port, default_host_ip: str) -> PortRequest:
    first, dash, last = port.published.partition("-")
    return PortRequest(
        container_port=port.target,
        protocol=port.protocol,
        host_ip=(port.host_ip or default_host_ip).strip("[]"),
        host_port=int(first or 0),
        host_port_end=int(last) if dash else 0,
    )

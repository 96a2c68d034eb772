"""`Project`: a whole application as its files describe it, immutable. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from composer.model.parts import Extensions
from composer.model.service import Service


@dataclass(frozen=True, slots=True)
class Pool:
    """One entry of ipam.config."""

    subnet: str = ""
    ip_range: str = ""
    gateway: str = ""
    aux_addresses: Mapping[str, str] = field(default_factory=dict)
    extensions: Extensions = field(default_factory=dict, hash=False)  # x- keys


@dataclass(frozen=True, slots=True)
class Ipam:
    """How addresses are allocated."""

    driver: str = ""
    config: tuple[Pool, ...] = ()
    options: Mapping[str, str] = field(default_factory=dict)
    extensions: Extensions = field(default_factory=dict, hash=False)  # x- keys


@dataclass(frozen=True, slots=True)
class Network:
    """A network; `name` is the real one."""

    name: str
    driver: str = ""
    driver_opts: Mapping[str, str] = field(default_factory=dict)
    ipam: Ipam | None = None
    external: bool = False
    internal: bool = False
    attachable: bool = False
    enable_ipv4: bool | None = None
    enable_ipv6: bool | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    extensions: Extensions = field(default_factory=dict, hash=False)  # x- keys


@dataclass(frozen=True, slots=True)
class Volume:
    """A named volume; `name` is the real one."""

    name: str
    driver: str = ""
    driver_opts: Mapping[str, str] = field(default_factory=dict)
    external: bool = False
    labels: Mapping[str, str] = field(default_factory=dict)
    extensions: Extensions = field(default_factory=dict, hash=False)  # x- keys


@dataclass(frozen=True, slots=True)
class Secret:
    """Confidential data from a file, a variable or outside."""

    name: str
    file: str = ""
    environment: str = ""
    external: bool = False
    labels: Mapping[str, str] = field(default_factory=dict)
    driver: str = ""
    driver_opts: Mapping[str, str] = field(default_factory=dict)
    template_driver: str = ""
    extensions: Extensions = field(default_factory=dict, hash=False)  # x- keys


@dataclass(frozen=True, slots=True)
class Config:
    """Configuration data from a file, a variable, the Compose file or outside."""

    name: str
    file: str = ""
    environment: str = ""
    content: str | None = None
    external: bool = False
    labels: Mapping[str, str] = field(default_factory=dict)
    template_driver: str = ""
    extensions: Extensions = field(default_factory=dict, hash=False)  # x- keys


@dataclass(frozen=True, slots=True)
class Model:
    """A language model."""

    name: str
    model: str = ""
    context_size: int = 0
    runtime_flags: tuple[str, ...] = ()
    extensions: Extensions = field(default_factory=dict, hash=False)  # x- keys


@dataclass(frozen=True, slots=True)
class Project:
    """Resources are all that the files declare; `services` only the active ones, `inactive` the others' profiles."""

    name: str
    working_dir: str
    config_files: tuple[str, ...] = ()
    services: Mapping[str, Service] = field(default_factory=dict)
    networks: Mapping[str, Network] = field(default_factory=dict)
    volumes: Mapping[str, Volume] = field(default_factory=dict)
    secrets: Mapping[str, Secret] = field(default_factory=dict)
    configs: Mapping[str, Config] = field(default_factory=dict)
    models: Mapping[str, Model] = field(default_factory=dict)
    inactive: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    extensions: Mapping[str, object] = field(default_factory=dict)  # x- keys of the top level

    def to_yaml(self) -> str:
        """A Compose file that loads to this project again, as YAML.

        Of what is inactive it has the names and profiles that optional dependencies refer to.
        """
        from composer.load.unbind import project_tree
        from composer.output.config_text import render_yaml

        return render_yaml(project_tree(self))

    def to_json(self) -> str:
        """The same as JSON, which is YAML too."""
        from composer.load.unbind import project_tree
        from composer.output.config_text import render_plain_json

        return render_plain_json(project_tree(self))

"""Project to Desired: what the planner and the engine receive."""

import json

import pytest

from composer.load.options import LoadOptions
from composer.load.pipeline import load_project
from composer.plan.desired import from_json, to_json
from composer.translate import translate_project
from runtime import ContainerSpec, RestartPolicy
from runtime import from_json as spec_from_json


@pytest.fixture
def desire(tmp_path):
    def run(text, env=None, files=None):
        folder = tmp_path / "demo"
        folder.mkdir(exist_ok=True)
        for name, content in {"compose.yaml": text, **(files or {})}.items():
            (folder / name).write_text(content)
        return translate_project(load_project(LoadOptions(cwd=str(folder), environ=env or {})))

    return run


@pytest.fixture
def spec(desire):
    def run(attributes, **more) -> ContainerSpec:
        desired = desire(f"services: {{web: {{image: i, {attributes}}}}}\nvolumes: {{vv: {{}}}}\n", **more)
        return spec_from_json({"name": "n", **desired.services[0].spec})

    return run


@pytest.mark.parametrize(
    ("attributes", "field", "value"),
    [
        ("command: sleep 1", "command", ("sleep", "1")),
        ("entrypoint: []", "entrypoint", ()),
        ("entrypoint: ''", "entrypoint", ()),
        ("tty: true", "tty", True),
        ("environment: [A=1, B]", "environment", (("A", "1"),)),
        ("shm_size: 1m", "shm_size_bytes", 1 << 20),
        ("stop_grace_period: 1m", "stop_grace_period_ns", 60_000_000_000),
        ("network_mode: host", "network_mode", "host"),
        ("network_mode: none", "network_mode", "none"),
        ("extra_hosts: {a: 1.2.3.4}", "extra_hosts", (("a", "1.2.3.4"),)),
        ("sysctls: {net.core.somaxconn: 9}", "sysctls", {"net.core.somaxconn": "9"}),
        ("cap_drop: [ALL]", "cap_drop", ("ALL",)),
        ("expose: [80]", "expose", ("80",)),
    ],
)
def test_fields(spec, attributes, field, value):
    assert getattr(spec(attributes), field) == value


def test_resources_of_deploy_come_first(spec):
    limits = "deploy: {resources: {limits: {cpus: '0.5', memory: 64m, pids: 7}, reservations: {memory: 1m}}}"
    resources = spec(f"{limits}, cpu_shares: 5, cpuset: '0', memswap_limit: -1").resources
    assert resources.nano_cpus == 500_000_000
    assert resources.memory_bytes == 64 << 20
    assert resources.memory_reservation_bytes == 1 << 20
    assert resources.memory_swap_bytes == -1
    assert (resources.pids_limit, resources.cpu_shares, resources.cpuset_cpus) == (7, 5, "0")


@pytest.mark.parametrize(
    ("attributes", "policy"),
    [
        ("tty: false", ("no", 0, 0)),
        ("restart: 'no'", ("no", 0, 0)),
        ("restart: on-failure:3", ("on-failure", 3, 0)),
        ("restart: unless-stopped", ("unless-stopped", 0, 0)),
        ("restart: always, deploy: {restart_policy: {condition: none}}", ("no", 0, 0)),
        (
            "deploy: {restart_policy: {condition: on-failure, max_attempts: 2, delay: 1s}}",
            ("on-failure", 2, 10**9),
        ),
        ("deploy: {restart_policy: {delay: 1s}}", ("always", 0, 10**9)),
    ],
)
def test_restart(spec, attributes, policy):
    assert spec(attributes).restart == RestartPolicy(*policy)


@pytest.mark.parametrize(
    ("attributes", "test"),
    [
        ("healthcheck: {test: a b}", ("CMD-SHELL", "a b")),
        ("healthcheck: {test: [CMD, a]}", ("CMD", "a")),
        ("healthcheck: {disable: true}", ("NONE",)),
        ("healthcheck: {interval: 1s}", ()),
    ],
)
def test_healthcheck(spec, attributes, test):
    assert spec(attributes).healthcheck.test == test


def test_mounts(spec, tmp_path):
    mounts = spec(
        "volumes: ['vv:/v:ro', './b:/b', /a, {type: tmpfs, target: /t, tmpfs: {size: 1m}}], tmpfs: '/r:size=2m,mode=700,noexec'"
    ).mounts
    assert [(m.type, m.source, m.target, m.read_only) for m in mounts] == [
        ("volume", "demo_vv", "/v", True),
        ("bind", f"{tmp_path}/demo/b", "/b", False),
        ("volume", "", "/a", False),
        ("tmpfs", "", "/t", False),
        ("tmpfs", "", "/r", False),
    ]
    assert mounts[1].create_host_path
    assert mounts[3].size_bytes == 1 << 20
    assert (mounts[4].size_bytes, mounts[4].mode, mounts[4].options) == (2 << 20, 0o700, ("noexec",))


def test_ports(spec):
    ports = spec("ports: ['80', '127.0.0.1:8000-8001:80-81/udp', '9000-9005:90']").ports
    assert [tuple(port) for port in ports] == [
        (80, "tcp", "", 0, 0),
        (80, "udp", "127.0.0.1", 8000, 0),
        (81, "udp", "127.0.0.1", 8001, 0),
        (90, "tcp", "", 9000, 9005),
    ]


def test_networks_and_labels(desire):
    text = """
services:
  a: {image: i, networks: {n: {aliases: [x], ipv4_address: 10.9.0.5}}}
  b: {image: i}
networks:
  n: {internal: true, ipam: {config: [{subnet: 10.9.0.0/24}]}}
  unused: {}
"""
    desired = desire(text)
    by_name = {service.name: service for service in desired.services}
    assert by_name["a"].spec["networks"] == [
        {"network": "demo_n", "aliases": ["a", "x"], "ipv4_address": "10.9.0.5"}
    ] or by_name["a"].spec["networks"][0]["aliases"] == ("a", "x")
    assert {n.key: n.name for n in desired.networks} == {"n": "demo_n", "default": "demo_default"}
    network = next(n for n in desired.networks if n.key == "n")
    assert network.internal and network.subnets == ({"subnet": "10.9.0.0/24"},)
    labels = by_name["b"].spec["labels"]
    assert labels["com.docker.compose.project"] == "demo"
    assert labels["com.docker.compose.service"] == "b"
    assert labels["com.docker.compose.oneoff"] == "False"


def test_levels_put_dependencies_first(desire):
    desired = desire("services: {a: {image: i, depends_on: [b]}, b: {image: i, links: [c]}, c: {image: i}}")
    assert [(s.name, s.level) for s in desired.services] == [("c", 0), ("b", 1), ("a", 2)]
    assert desired.services[1].depends_on[0].service == "c"


def test_round_trip_through_json(desire):
    desired = desire("services: {a: {image: i, ports: ['1:1'], volumes: ['vv:/v']}}\nvolumes: {vv: {}}\n")
    again = from_json(json.loads(json.dumps(to_json(desired))))
    assert json.dumps(to_json(again)) == json.dumps(to_json(desired))


def test_build_without_image(desire):
    service = desire("services: {a: {build: .}}").services[0]
    assert (service.image, bool(service.build)) == ("demo-a", True)


SAME = [
    ("depends_on: [b]", ""),
    ("scale: 1", "scale: 2"),
    ("deploy: {replicas: 2}", ""),
    ("profiles: []", ""),
    ("build: .", ""),
    ("pull_policy: always", ""),
    ("environment: [A=1]", "environment: {A: 1}"),
    ("command: a b", "command: [a, b]"),
    ("ports: ['80:80']", "ports: [{target: 80, published: 80}]"),
]
DIFFERENT = [
    ("command: a", "command: b", "command"),
    ("environment: {A: 1}", "environment: {A: 2}", "environment.A"),
    ("labels: {A: 1}", "", "labels.A"),
    ("mem_limit: 1g", "mem_limit: 2g", "mem_limit"),
    ("entrypoint: []", "", "entrypoint"),
]


def _service(desire, attributes):
    desired = desire(f"services: {{a: {{image: i, {attributes}}}, b: {{image: i}}}}")
    return next(service for service in desired.services if service.name == "a")


@pytest.mark.parametrize(("first", "second"), SAME)
def test_config_hash_ignores(desire, first, second):
    assert _service(desire, first).config_hash == _service(desire, second).config_hash


@pytest.mark.parametrize(("first", "second", "path"), DIFFERENT)
def test_config_hash_counts(desire, first, second, path):
    one, two = _service(desire, first), _service(desire, second)
    assert one.config_hash != two.config_hash
    assert {p for p in {*one.fields, *two.fields} if one.fields.get(p) != two.fields.get(p)} == {path}


def test_config_hash_follows_env_file(desire):
    text = "services: {a: {image: i, env_file: a.env}}"
    one = desire(text, files={"a.env": "A=1"}).services[0]
    two = desire(text, files={"a.env": "A=2"}).services[0]
    assert one.config_hash != two.config_hash
    assert one.fields["environment.A"] != two.fields["environment.A"]


def test_origins_name_file_line_and_column(desire, tmp_path):
    service = desire("services:\n  a:\n    image: i\n    environment:\n      - A=1\n").services[0]
    assert service.origins["image"] == f"{tmp_path}/demo/compose.yaml:3:5"
    assert service.origins["environment.A"] == f"{tmp_path}/demo/compose.yaml:5:9"

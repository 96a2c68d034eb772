"""Mistakes of every stage are told in one run: each once, in the order of lines, without what follows from them."""

import re
import time

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import composer
from composer.errors import LoadError, Problem


def problems_of(load, text, **options) -> list[Problem]:
    with pytest.raises(LoadError) as caught:
        load(text, **options)
    return list(caught.value.problems)


def told(problems) -> list[tuple[int, str]]:
    return [(problem.origin.line, problem.path) for problem in problems]


EVERY_STAGE = """\
name: demo
services:
  web:
    image: nginx
    portz: ["80:80"]
    mem_limit: lots
    command: echo ${NOPE:?needed}
    volumes: [data:/data]
    depends_on: [db, api]
    ports: ["80:80", x, "90000:1", {published: 5}]
    image: again
  api:
    image: a
    mem_limit: 1g
    deploy: {resources: {limits: {memory: 2g}}}
    env_file: [none.env, other.env]
    tty: maybe
  one: {image: a, depends_on: [two], stop_grace_period: "5"}
  two: {image: a, depends_on: [one]}
  e: {extends: f}
  f: {extends: e}
  g: {extends: {file: none.yaml, service: z}}
  h: {build: {context: ., secrets: [s]}, network_mode: host, networks: [n]}
  i: 5
  j: {}
secrets:
  t: {file: a, environment: B}
bogus: 1
"""


def test_mistakes_of_every_stage(load):
    problems = problems_of(load, EVERY_STAGE)
    assert told(problems) == [
        (5, "services.web.portz"),
        (6, "services.web.mem_limit"),
        (7, "services.web.command"),
        (8, "services.web.volumes[0]"),
        (9, "services.web.depends_on.db"),
        (10, "services.web.ports[1]"),
        (10, "services.web.ports[2]"),
        (10, "services.web.ports[3]"),
        (11, "services.web.image"),
        (14, "services.api.mem_limit"),
        (16, "services.api.env_file[0]"),
        (16, "services.api.env_file[1]"),
        (17, "services.api.tty"),
        (18, "services.one.depends_on"),
        (18, "services.one.stop_grace_period"),
        (20, "services.e.extends"),
        (22, "services.g.extends.file"),
        (23, "services.h.build.secrets[0]"),
        (23, "services.h.network_mode"),
        (23, "services.h.networks.n"),
        (24, "services.i"),
        (25, "services.j"),
        (27, "secrets.t"),
        (28, "bogus"),
    ]
    assert all(problem.snippet.count("^") == 1 for problem in problems)


# A mistake whose value later stages would also stumble over: it alone is told.
NO_ECHO = [
    "services: {w: {imagee: a}}",
    "services: {w: {image: [a]}}",
    "services: {w: {image: '${X:?}'}}",
    "services: {w: {biuld: .}}",
    "services: {w: {build: {contextt: .}}}",
    "services: {w: {extends: {file: none.yaml, service: b}}}",
    "services: {w: {extends: {service: '${X:?}'}}}",
    "services: {b: {image: '${X:?}'}, w: {extends: b}}",
    "services: {b: {image: 1}, w: {extends: b}, v: {extends: w}}",
    "services: {w: {image: a, depends_on: [v]}, v: 5}",
    "services: {w: {image: a, depends_on: [v], links: [v]}, v: {image: a, portz: 1}}",
    "services: {w: {image: a, depends_on: {v: {condition: now}}}, v: {image: a}}",
    "services: {w: {image: a, extends: v}, v: 5}",
    "services: {w: {image: a, volumes: ['v:/v']}}\nvolumes: {v: {driverr: x}}",
    "services: {w: {image: a, volumes: ['v:/v']}}\nvolumes: {v: 5}",
    "services: {w: {image: a, volumes: ['v:/v']}}\nvolumes: [v]",
    "services: {w: {image: a, secrets: [s]}}\nsecrets: {s: {filee: x}}",
    "services: {w: {image: a, secrets: [s]}}\nsecrets: {s: {file: '${X:?}'}}",
    "services: {w: {image: a, secrets: [s]}}\nsecrets: {s: {file: x, environment: y}}",
    "services: {w: {image: a, secrets: [{sourcee: s}]}}",
    "services: {w: {image: a, ports: [{target: '${X:?}', published: 80}]}}",
    "services: {w: {image: a, ports: [{targett: 80}]}}",
    "services: {w: {image: a, networks: {n: {aliases: 5}}}}\nnetworks: {n: }",
    "services: {w: {image: a, scale: x, deploy: {replicas: 2}}}",
    "services: {w: {image: a, mem_limit: x, deploy: {resources: {limits: {memory: 1g}}}}}",
    "services: {w: {image: a, depends_on: [v]}}\ninclude: [none.yaml]",
    "services: {w: {image: a, depends_on: [v]}}\ninclude: 5",
    "x-a: &a {image: '${X:?}'}\nservices: {v: {<<: *a}, w: {<<: *a}}",
    "x-a: &a {image: a, mem_limit: lots}\nservices: {v: {<<: *a}, w: {<<: *a}}",
    "x-a: &a [image]\nservices: {w: {<<: *a}}",
    "name: '!'\nservices: {w: {image: a}}",
    "services: []",
    "[]",
]


@pytest.mark.parametrize("text", NO_ECHO)
def test_what_follows_from_a_mistake_is_not_told(load, text):
    problems = problems_of(load, text)
    assert len(problems) == 1, [problem.message for problem in problems]


def test_several_files(load, tmp_path):
    files = {
        "a.yaml": "include: [in.yaml]\nservices:\n  w: {image: a, extends: {file: e.yaml, service: q}}\n",
        "b.yaml": "services:\n  w: {image: a, mem_limt: 1, networks: [n]}\n",
        "c.yaml": "services:\n\tw: 1\n",
        "in.yaml": "services: {i: {image: a, portz: 1, cpus: x}}\n",
        "e.yaml": "services: {q: {image: a, tty: perhaps}}\n",
    }
    problems = problems_of(load, None, files=files, named=("a.yaml", "b.yaml", "c.yaml"))
    places = [(problem.origin.file.rsplit("/", 1)[1], problem.message) for problem in problems]
    assert places == [
        ("b.yaml", "unknown key 'mem_limt'"),  # n may be defined in c.yaml, which could not be read
        (
            "c.yaml",
            "YAML syntax error: found character that cannot start any token (while scanning for the next token)",
        ),
        ("e.yaml", "'perhaps' is not true or false"),
        ("in.yaml", "unknown key 'portz'"),
        ("in.yaml", "'x' is not a number"),
    ]


def test_a_service_that_could_not_be_read_may_be_named(load):
    problems = problems_of(load, "services: {w: 5}", services=("v",))
    assert [problem.path for problem in problems] == ["services.w"]


def test_an_end_to_very_many(load):
    lines = "".join(f"  s{number}: {{image: a, portz: 1}}\n" for number in range(1000))
    assert len(problems_of(load, "services:\n" + lines)) == 200


# One line of a service or of the top level each, wrong in itself, and what is told about it.
SERVICE_LINES = {
    "portz: [1]": "unknown key 'portz'",
    "mem_limit: lots": "'lots' is not a size",
    "tty: perhaps": "'perhaps' is not true or false",
    "user: '${UNSET:?}'": "UNSET has no value",
    "hostname: '${'": "closing brace",
    "dns: {a: b}": "is expected, not a mapping",
    "volumes: [nowhere:/v]": "the volume 'nowhere' is not defined",
    "depends_on: [nobody]": "'nobody', which is not defined",
    "networks: [nonet]": "the network 'nonet' is not defined",
    "secrets: [nosecret]": "the secret 'nosecret' is not defined",
    "ports: [x]": "'x' is not a container port",
    "stop_grace_period: '5'": "lacks a unit",
    "healthcheck: {test: [echo]}": "a test starts with",
    "env_file: nowhere.env": "not found",
    "container_name: own\n    scale: 2": "2 containers cannot all",
    "cpus: 1\n    deploy: {resources: {limits: {cpus: '2'}}}": "differ",
    "configs: [{target: /x}]": "lacks the key 'source'",
    "devices: ['a:b:c:d']": "too many colons",
    "image: b": "already defined",
    "build: {context: ., dockerfile: a, dockerfile_inline: b}": "exclude each other",
}
TOP_LINES = {
    "bogus: 1": "unknown key 'bogus'",
    "networks: {bad: {driverr: x}}": "unknown key 'driverr'",
    "configs: {bad: {file: a, content: b}}": "several sources",
    "volumes: {bad: {external: true, driver: local}}": "an external volume cannot",
}


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    services=st.lists(st.sets(st.sampled_from(sorted(SERVICE_LINES)), max_size=6), min_size=1, max_size=4),
    top=st.sets(st.sampled_from(sorted(TOP_LINES))),
)
def test_every_injected_mistake_is_told(tmp_path_factory, services, top):
    lines, wanted = ["services:"], []
    for number, chosen in enumerate(services):
        lines += [f"  s{number}:", "    image: a"]
        for line in sorted(chosen):
            wanted.append((len("\n".join(lines).split("\n")) + 1, SERVICE_LINES[line]))
            lines.append(f"    {line}")
    for line in sorted(top):
        wanted.append((len("\n".join(lines).split("\n")) + 1, TOP_LINES[line]))
        lines.append(line)
    if not wanted:
        return
    with pytest.raises(LoadError) as caught:
        composer.load(text="\n".join(lines), directory=tmp_path_factory.getbasetemp(), environ={})
    found = [(problem.origin.line, problem.message) for problem in caught.value.problems]
    assert found == sorted(found, key=lambda pair: pair[0])
    shared = re.compile("'own' is already that of service")  # two services with one container_name
    found = [pair for pair in found if not shared.search(pair[1])]
    assert len(found) == len(wanted)
    for (line, message), (at, part) in zip(found, wanted, strict=True):
        assert part in message
        assert line == at


def test_mistakes_by_the_thousand_on_one_line_cost_little(load):
    names = ",".join(f"q{number}" for number in range(5_000))
    started = time.process_time()
    assert len(problems_of(load, f"services: {{w: {{image: a, depends_on: [{names}]}}}}")) == 200
    assert len(problems_of(load, f"services: {{w: {{image: a, ports: [{'x,' * 5_000}]}}}}")) == 200
    assert time.process_time() - started < 10


def test_too_many_ports_are_told_once(load):
    text = "services:\n" + "".join(f"  s{n}: {{image: a, ports: ['1-65535']}}\n" for n in range(9))
    assert [problem.path for problem in problems_of(load, text)] == ["services.s3.ports[0]"]

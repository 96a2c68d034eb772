"""From files to a project: discovery, environment, merging of files, what a result carries."""

import pytest

from composer.errors import LoadError, SelectionError

WEB = "services:\n  web:\n    image: alpine\n"


def service(result, name="web"):
    return result.tree["services"][name]


def test_minimal_project(load):
    result = load(WEB)
    assert result.tree == {
        "name": "demo",
        "services": {"web": {"image": "alpine", "networks": {"default": None}}},
        "networks": {"default": {"name": "demo_default"}},
    }
    assert result.project.services["web"].image == "alpine"
    assert result.warnings == ()


def test_inputs_name_files_read_and_files_missing(load, tmp_path):
    inputs = dict(load(WEB).sources.inputs)
    assert inputs[str(tmp_path / "demo/compose.yaml")] is True
    assert inputs[str(tmp_path / "demo/.env")] is False
    assert inputs[str(tmp_path / "demo/compose.override.yml")] is False


def test_variables_lists_what_was_consulted(load):
    assert {"A", "COMPOSE_FILE", "COMPOSE_PROFILES"} <= set(
        load(WEB + "    user: ${A:-b}\n").sources.variables
    )


def test_no_file(load):
    with pytest.raises(LoadError, match="no configuration file provided: not found") as caught:
        load(None, files={"other.txt": ""})
    assert caught.value.problems[0].hint


def test_search_goes_upwards(load, tmp_path):
    (tmp_path / "demo/sub").mkdir(parents=True)
    assert load(WEB, cwd=str(tmp_path / "demo/sub")).project.name == "demo"


def test_override_file_is_laid_over(load):
    result = load(WEB, files={"compose.override.yaml": "services: {web: {command: top}}"})
    assert service(result)["command"] == ["top"]


def test_standard_input(load):
    result = load(WEB, named=("-",), stdin_text="services: {other: {image: b}}")
    assert list(result.tree["services"]) == ["other"]


@pytest.mark.parametrize(
    ("env", "dotenv", "expected"),
    [
        ({}, "", "none"),
        ({}, "A=dot", "dot"),
        ({"A": "shell"}, "A=dot", "shell"),
        ({"A": ""}, "A=dot", "none"),
    ],
)
def test_shell_wins_over_dotenv(load, env, dotenv, expected):
    assert service(load(WEB + "    user: ${A:-none}\n", env, {".env": dotenv}))["user"] == expected


def test_unset_variable_warns_once_with_its_place(load, tmp_path):
    result = load(WEB + "    user: x$A\n    hostname: h$A\n")
    assert result.warnings == (
        f"warning: {tmp_path}/demo/compose.yaml:4:5: the variable A is not set, a blank string takes its place",
    )


def test_profiles(load):
    text = "services: {a: {image: i}, b: {image: i, profiles: [p]}, c: {image: i, profiles: [q]}}"
    assert list(load(text).project.services) == ["a"]
    assert list(load(text, profiles=("p",)).project.services) == ["a", "b"]
    assert list(load(text, {"COMPOSE_PROFILES": "p,q"}).project.services) == ["a", "b", "c"]
    assert list(load(text, services=("c",)).project.services) == ["a", "c"]
    assert load(text).project.inactive == {"b": ("p",), "c": ("q",)}


def test_unknown_service_has_a_close_match(load):
    with pytest.raises(SelectionError) as caught:
        load(WEB, services=("wep",))
    assert caught.value.hint == "did you mean 'web'?"


@pytest.mark.parametrize(
    ("options", "env", "name"),
    [
        ({}, {}, "demo"),
        ({"project_name": "flag"}, {"COMPOSE_PROJECT_NAME": "env"}, "flag"),
        ({}, {"COMPOSE_PROJECT_NAME": "env"}, "env"),
    ],
)
def test_name(load, options, env, name):
    assert load(WEB, env, **options).project.name == name


def test_env_files_in_order_below_environment(load):
    text = WEB + "    env_file: [a.env, b.env]\n    environment: {C: own, D: null, E: null}\n"
    files = {"a.env": "A=a\nB=a\nC=a\nD=a", "b.env": "B=b"}
    environment = load(text, {"D": "shell"}, files).project.services["web"].environment
    assert environment == {"A": "a", "B": "b", "C": "own", "D": "shell", "E": None}


def test_missing_env_file_names_its_entry(load, tmp_path):
    with pytest.raises(LoadError) as caught:
        load(WEB + "    env_file:\n      - nope.env\n")
    assert caught.value.problems[0].origin == (f"{tmp_path}/demo/compose.yaml", 5, 9)


def test_extends_of_another_file(load, tmp_path):
    text = "services: {web: {extends: {file: sub/base.yaml, service: app}, environment: {B: 2}}}"
    base = "services: {app: {image: i, volumes: ['./d:/d'], environment: [A=1, B=1]}}"
    result = load(text, files={"sub/base.yaml": base})
    assert service(result)["environment"] == {"A": "1", "B": "2"}
    assert service(result)["volumes"][0]["source"] == f"{tmp_path}/demo/sub/d"


def test_include_has_its_own_directory_and_dotenv(load, tmp_path):
    files = {"mod/inc.yaml": "services: {i: {image: 'i:${TAG}', volumes: ['./d:/d']}}", "mod/.env": "TAG=7"}
    result = load("include: [mod/inc.yaml]\n" + WEB, files=files)
    assert service(result, "i")["image"] == "i:7"
    assert service(result, "i")["volumes"][0]["source"] == f"{tmp_path}/demo/mod/d"


def test_reset_and_override(load):
    text = WEB + "    ports: ['1:1']\n    environment: {A: 1, B: 2}\n"
    over = "services: {web: {ports: !reset [], environment: !override {C: 3}}}"
    result = load(text, files={"compose.override.yaml": over})
    assert "ports" not in service(result)
    assert service(result)["environment"] == {"C": "3"}


@pytest.mark.parametrize(
    ("attribute", "path"),
    [
        ("isolation: x", "isolation"),
        ("networks: {default: {driver_opts: {a: b}}}", "networks.default.driver_opts.a"),
        ("security_opt: ['apparmor=x']", "security_opt[0]"),
        ("deploy: {placement: {constraints: [a]}}", "deploy.placement"),
        ("volumes: [{type: image, source: x, target: /x}]", "volumes[0].type"),
    ],
)
def test_not_honoured_attribute_is_announced(load, tmp_path, attribute, path):
    (warning,) = load(WEB + f"    {attribute}\n").warnings
    assert warning.startswith(f"warning: {tmp_path}/demo/compose.yaml:4:")
    assert warning.endswith(f"service 'web': {path} is not honoured yet")


def test_shell_operator_is_announced(load):
    result = load(WEB + "    command: echo a && echo b\n")
    assert service(result)["command"] == ["echo", "a"]
    assert "no shell" in result.warnings[0]


def test_own_output_loads_to_itself(load):
    text = """
services:
  web:
    image: alpine
    command: sh -c "echo $$HOME"
    ports: ["8000-8002:80-82", "127.0.0.1:53:53/udp"]
    volumes: ["data:/data:ro", "./src:/src", /anonymous]
    tmpfs: /run
    environment: [A=1, B]
    healthcheck: {test: "true", interval: 1m30s, retries: 3}
    deploy: {replicas: 2, resources: {limits: {memory: 64m, cpus: "0.5"}}}
    depends_on: [db]
    ulimits: {nofile: 10, nproc: {soft: 1, hard: 2}}
  db: {image: pg, stop_grace_period: 90s, mem_limit: 1g}
volumes: {data: {}}
"""
    from composer.output.config_text import render_config

    first = load(text)
    for style in ("yaml", "json"):
        assert load(render_config(first.tree, format=style)).tree == first.tree


def test_without_interpolation_values_stay_as_they_are(load, tmp_path):
    text = (
        "services:\n  web:\n    image: i:${T:-1}\n    ports: ['80:80', '${P:-1}:80']\n    environment: [A=1, B]\n"
        "    volumes: ['${D:-/x}/h:/w:ro', './${E}:/z']\n    expose: [80]\n    command: echo $X\n    build: {ssh: [k=./p]}\n"
    )
    web = load(text, interpolate=False).tree["services"]["web"]
    assert web["image"] == "i:${T:-1}"
    assert web["ports"] == ["80:80", "${P:-1}:80"]
    assert (web["environment"], web["expose"], web["command"]) == (["A=1", "B"], [80], "echo $X")
    assert [mount["source"] for mount in web["volumes"]] == ["${D:-/x}/h", f"{tmp_path}/demo/${{E}}"]
    assert web["build"]["ssh"] == {"k": f"{tmp_path}/demo/p"}


def test_absolute_paths_stay_as_they_are_written(load, tmp_path):
    volumes = ["/a//b/:/x", "./c//d/:/y", "~//e/:/z", "$PWD/f:/w"]
    mounts = service(load(WEB + f"    volumes: {volumes}\n", {"HOME": "/home/me"}))["volumes"]
    folder = f"{tmp_path}/demo"
    assert [mount["source"] for mount in mounts] == ["/a//b/", f"{folder}/c/d", "/home/me/e", f"{folder}/f"]


@pytest.mark.parametrize("name", ["${NOPE}", "' '", "'--'"])
def test_a_name_that_comes_to_nothing_is_an_error(load, name):
    with pytest.raises(LoadError, match="must not be empty"):
        load(f"name: {name}\n{WEB}")


def test_a_tagged_merge_key(load):
    text = "x-a: &a {image: b, tty: true}\nservices:\n  web:\n    !!merge <<: *a\n    user: u\n"
    assert service(load(text))["image"] == "b"


def test_blank_names_and_modes_are_kept_as_the_reference_has_them(load):
    result = load(WEB + "    network_mode: ''\n    ports: [':8080:80']\n")
    assert "networks" not in service(result)
    assert service(result)["ports"][0]["published"] == "8080"

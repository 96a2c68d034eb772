"""Attributes that are one text, one number or one truth value."""

import pytest

TEXTS = [
    "cgroup_parent",
    "container_name",
    "cpuset",
    "domainname",
    "hostname",
    "ipc",
    "isolation",
    "mac_address",
    "network_mode",
    "pid",
    "platform",
    "restart",
    "runtime",
    "stop_signal",
    "user",
    "userns_mode",
    "uts",
    "working_dir",
    "pull_policy",
]
WHOLE = [
    "cpu_count",
    "cpu_shares",
    "cpu_period",
    "cpu_quota",
    "cpu_rt_period",
    "cpu_rt_runtime",
    "oom_score_adj",
    "pids_limit",
    "scale",
]
SWITCHES = [
    "attach",
    "init",
    "oom_kill_disable",
    "privileged",
    "read_only",
    "stdin_open",
    "tty",
    "use_api_socket",
]
SIZES = ["mem_limit", "mem_reservation", "shm_size"]


@pytest.mark.parametrize("name", TEXTS)
def test_text(given, name):
    value = "host" if name in ("ipc", "network_mode", "pid", "userns_mode", "uts") else "some-value"
    loaded = given(f"{name}: {value}")
    assert loaded.printed[name] == value
    assert getattr(loaded.service, name) == value


@pytest.mark.parametrize("name", TEXTS)
def test_text_from_a_variable_and_over_another(given, name):
    loaded = given(f"{name}: first", over=f"{name}: ${{V}}", env={"V": "none" if name == "ipc" else "007"})
    assert loaded.printed[name] == ("none" if name == "ipc" else "007")


@pytest.mark.parametrize("name", [name for name in TEXTS if name != "pid"])  # `pid:` may be null
@pytest.mark.parametrize("value", ["", "7", "[x]", "true"])
def test_what_is_no_text(refused, name, value):
    assert f"services.a.{name}: text is expected, not" in refused(f"{name}: {value}")


@pytest.mark.parametrize("name", WHOLE)
@pytest.mark.parametrize("text", ["5", "'5'", "${V}"])
def test_whole_number(given, name, text):
    loaded = given(f"{name}: {text}", env={"V": "5"})
    assert loaded.printed[name] == 5
    assert getattr(loaded.service, name) == 5


@pytest.mark.parametrize("name", WHOLE)
def test_no_whole_number(refused, name):
    assert f"services.a.{name}: " in refused(f"{name}: x")
    assert f"services.a.{name}: " in refused(f"{name}: [1]")


@pytest.mark.parametrize("name", SWITCHES)
@pytest.mark.parametrize("text", ["true", "'yes'", "${V}", "ON"])
def test_switch(given, name, text):
    loaded = given(f"{name}: {text}", env={"V": "y"})
    assert loaded.printed[name] is True
    assert getattr(loaded.service, name) is True


@pytest.mark.parametrize("name", SWITCHES)
def test_no_switch(refused, name):
    assert "'1' is not true or false" in refused(f"{name}: '1'")
    assert "true or false" in refused(f"{name}: 1")


def test_init_and_attach_say_no_as_well(given):
    loaded = given("init: false\nattach: false\ntty: false")
    assert loaded.printed["init"] is False
    assert loaded.printed["attach"] is False
    assert "tty" not in loaded.printed
    assert loaded.service.init is False
    assert given("tty: false").service.init is None


@pytest.mark.parametrize("name", SIZES)
@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("100", 100),
        ("'100'", 100),
        ("1k", 1024),
        ("1.5GiB", 3 * 2**29),
        ("10 MB", 10 * 2**20),
        ("${V}", 2**30),
    ],
)
def test_size(given, name, text, size):
    loaded = given(f"{name}: {text}", env={"V": "1g"})
    assert loaded.printed[name] == str(size)
    assert getattr(loaded.service, name) == size


@pytest.mark.parametrize("name", SIZES)
@pytest.mark.parametrize("text", ["1gi", "x", "'-5'", "''"])
def test_no_size(refused, name, text):
    assert f"services.a.{name}: " in refused(f"{name}: {text}")


def test_memswap_limit_without_limit_is_a_number(given, refused):
    loaded = given("memswap_limit: -1", json=False)
    assert loaded.printed["memswap_limit"] == -1
    assert loaded.service.memswap_limit == -1
    assert "negative" in refused("memswap_limit: '-1'")


def test_mem_swappiness(given):
    assert given("mem_swappiness: 60").printed["mem_swappiness"] == "60"


@pytest.mark.parametrize(("text", "number"), [("0.5", 0.5), ("'1.5'", 1.5), ("2", 2), ("${V}", 0.25)])
def test_cpus(given, text, number):
    loaded = given(f"cpus: {text}", env={"V": ".25"})
    assert loaded.printed["cpus"] == number
    assert loaded.service.cpus == number


@pytest.mark.parametrize(
    ("text", "printed", "ns"),
    [
        ("90s", "1m30s", 90 * 10**9),
        ("1h", "1h0m0s", 3600 * 10**9),
        ("1d", "24h0m0s", 86400 * 10**9),
        ("100us", "100µs", 100_000),
        ("1.5s", "1.5s", 1_500_000_000),
        ("0s", "0s", 0),
    ],
)
def test_stop_grace_period(given, text, printed, ns):
    loaded = given(f"stop_grace_period: {text}")
    assert loaded.printed["stop_grace_period"] == printed
    assert loaded.service.stop_grace_period == ns


@pytest.mark.parametrize("text", ["5", "'5'", "5S", "5x", "''"])
def test_no_stop_grace_period(refused, text):
    assert "services.a.stop_grace_period: " in refused(f"stop_grace_period: {text}")


def test_cgroup(given, refused):
    assert given("cgroup: private").service.cgroup == "private"
    assert "not one of host, private" in refused("cgroup: x")


def test_pull_policy_in_the_words_of_now(given):
    assert given("pull_policy: if_not_present").printed["pull_policy"] == "missing"

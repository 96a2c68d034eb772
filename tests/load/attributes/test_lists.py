"""Attributes that are lists of texts: how they merge, and what counts as the same entry."""

import pytest


@pytest.mark.parametrize(
    "name", ["cap_add", "cap_drop", "dns_opt", "expose", "external_links", "group_add", "security_opt"]
)
def test_list(given, refused, name):
    loaded = given(f"{name}: [b, a]", over=f"{name}: [c]")
    assert loaded.printed[name] == ["b", "a", "c"]
    assert getattr(loaded.service, name) == ("b", "a", "c")
    assert f"services.a.{name}: a list is expected" in refused(f"{name}: {{a: b}}")


@pytest.mark.parametrize("name", ["dns", "dns_search", "tmpfs"])
def test_one_text_or_a_list(given, name):
    assert given(f"{name}: /a").printed[name] == ["/a"]
    assert given(f"{name}: /a", over=f"{name}: [/b]").printed[name] == ["/a", "/b"]


@pytest.mark.parametrize("name", ["cap_add", "cap_drop", "dns", "dns_search", "expose", "tmpfs"])
def test_equal_entries_of_two_files_are_one(given, name):
    assert sorted(given(f"{name}: [/a, /b]", over=f"{name}: [/a]").printed[name]) == ["/a", "/b"]


def test_tmpfs_is_unique_by_its_folder(given):
    assert given("tmpfs: [/a, /b]", over="tmpfs: ['/a:size=1m']").printed["tmpfs"] == ["/a:size=1m", "/b"]


def test_expose_and_group_add_take_numbers(given):
    loaded = given("expose: [80, '81-82/udp']\ngroup_add: [1000, docker]")
    assert loaded.printed["expose"] == ["80", "81-82/udp"]
    assert loaded.printed["group_add"] == ["1000", "docker"]


def test_links_and_volumes_from_are_dependencies(given):
    rest = "  b: {image: i}\n  c: {image: i}"
    loaded = given("links: ['b:alias']\nvolumes_from: ['c:ro', 'container:other']", rest)
    assert loaded.printed["links"] == ["b:alias"]
    assert loaded.printed["volumes_from"] == ["c:ro", "container:other"]
    assert loaded.printed["depends_on"] == {
        "b": {"condition": "service_started", "required": True, "restart": True},
        "c": {"condition": "service_started", "required": True},
    }


def test_device_cgroup_rules(given):
    assert given("device_cgroup_rules: ['c 1:3 mr']").service.device_cgroup_rules == ("c 1:3 mr",)


def test_profiles(given):
    result = given("user: x", "  b: {image: i, profiles: [p, q]}").result
    assert result.project.inactive == {"b": ("p", "q")}


@pytest.mark.parametrize("name", ["label_file", "env_file"])
def test_files_that_are_missing_are_named(refused, name):
    assert "not found" in refused(f"{name}: nope")

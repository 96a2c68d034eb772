"""volumes of a service and of the project."""

import pytest

from composer.model.parts import Mount, TmpfsOptions, VolumeOptions

REST = "volumes: {data: {}, other: {}}"


@pytest.mark.parametrize(
    ("text", "mount"),
    [
        ("data:/d", {"type": "volume", "source": "data", "target": "/d", "volume": {}}),
        (
            "data:/d:ro,nocopy",
            {
                "type": "volume",
                "source": "data",
                "target": "/d",
                "read_only": True,
                "volume": {"nocopy": True},
            },
        ),
        ("/anonymous", {"type": "volume", "target": "/anonymous", "volume": {}}),
        (
            "/host//x/:/d/",
            {"type": "bind", "source": "/host//x/", "target": "/d", "bind": {"create_host_path": True}},
        ),
        (
            "~/x:/d",
            {"type": "bind", "source": "/home/me/x", "target": "/d", "bind": {"create_host_path": True}},
        ),
        (
            "/x:/d:Z,rshared",
            {
                "type": "bind",
                "source": "/x",
                "target": "/d",
                "bind": {"create_host_path": True, "selinux": "Z", "propagation": "rshared"},
            },
        ),
        ("C:\\x:/d", {"type": "bind", "source": "C:\\x", "target": "/d", "bind": {"create_host_path": True}}),
    ],
)
def test_short_form(given, text, mount):
    assert given(f"volumes: ['{text}']", REST).printed["volumes"] == [mount]


def test_relative_paths_start_from_the_project(given, tmp_path):
    loaded = given("volumes: ['./x/../y:/d', '${PWD}/z:/e']")
    assert [mount.source for mount in loaded.service.volumes] == [f"{tmp_path}/demo/y", f"{tmp_path}/demo/z"]


def test_long_forms(given):
    loaded = given(
        "volumes:\n"
        "- {type: volume, source: data, target: /d, volume: {nocopy: true, subpath: s, labels: {a: b}}}\n"
        "- {type: tmpfs, target: /t, tmpfs: {size: 10m, mode: 0755}}\n"
        "- {type: bind, source: /x, target: /b, bind: {propagation: shared, create_host_path: false, recursive: disabled}}\n"
        "- {type: image, source: alpine, target: /i, image: {subpath: s}, read_only: true}\n"
        "- {type: npipe, source: p, target: /p, consistency: cached}",
        REST,
    )
    volume, tmpfs, bind, image, pipe = loaded.service.volumes
    assert volume == Mount("volume", "/d", "data", volume=VolumeOptions({"a": "b"}, True, "s"))
    assert tmpfs.tmpfs == TmpfsOptions(10 * 2**20, 0o755)
    assert (bind.bind.propagation, bind.bind.create_host_path, bind.bind.recursive) == (
        "shared",
        False,
        "disabled",
    )
    assert (image.image.subpath, image.read_only) == ("s", True)
    assert pipe.consistency == "cached"


def test_volumes_of_two_files_are_unique_by_target(given):
    loaded = given("volumes: ['data:/d', '/x:/e']", REST, over="volumes: ['other:/d:ro']")
    assert [(mount.source, mount.target, mount.read_only) for mount in loaded.service.volumes] == [
        ("other", "/d", True),
        ("/x", "/e", False),
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("['data:/d:ro:x']", "too many colons"),
        ("[':/d']", "empty section between colons"),
        ("['']", "an empty text is not a volume"),
        ("[nope:/d]", "the volume 'nope' is not defined"),
        ("[{type: bind, target: /d}]", "a bind mount needs the key 'source'"),
        ("[{type: volume, source: data}]", "the mount lacks the key 'target'"),
        ("[{type: nope, target: /d}]", "not one of bind, volume"),
        ("[{target: /d}]", "the key 'type' is missing"),
    ],
)
def test_bad_volumes(refused, text, message):
    assert message in refused(f"volumes: {text}", REST)


def test_names_of_project_volumes(given):
    rest = "volumes: {plain: , named: {name: real}, out: {external: true}, old: {external: {name: legacy}}}"
    loaded = given("volumes: ['plain:/a', 'named:/b', 'out:/c', 'old:/d']", rest)
    assert {key: volume.name for key, volume in loaded.project.volumes.items()} == {
        "plain": "demo_plain",
        "named": "real",
        "out": "out",
        "old": "legacy",
    }
    assert loaded.project.volumes["out"].external


def test_driver_of_project_volumes(given, tmp_path):
    rest = "volumes: {data: {driver: local, driver_opts: {o: bind, type: none, device: ./x}, labels: [a=b]}}"
    volume = given("volumes: ['data:/d']", rest).project.volumes["data"]
    assert volume.driver_opts == {"o": "bind", "type": "none", "device": f"{tmp_path}/demo/x"}
    assert volume.labels == {"a": "b"}


def test_an_external_volume_has_no_driver(refused):
    assert "volumes.data.driver: " in refused(
        "volumes: ['data:/d']", "volumes: {data: {external: true, driver: x}}"
    )


def test_unused_volumes_are_not_printed(given):
    assert "volumes" not in given("user: x", REST).tree
    assert list(given("volumes: ['data:/d']", REST).tree["volumes"]) == ["data"]

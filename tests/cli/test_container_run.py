"""The options of `container run` that have a syntax of their own."""

import pytest

from composer.cli.container_run import Arguments, container_spec, parse_mount_option
from composer.errors import ComposeError


@pytest.mark.parametrize(
    ("word", "read_only"),
    [("", False), (",readonly", True), (",ro=1", True), (",readonly=True", True), (",readonly=f", False)],
)
def test_mount_read_only(word: str, read_only: bool) -> None:
    request = parse_mount_option(f"type=bind,src=/a,dst=/b{word}")
    assert request["read_only"] is read_only and request["source"] == "/a"


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("type=bind,src=/a,dst=/b,readonly=yes", "readonly=yes is neither true nor false"),
        ("type=bind,src=/a,dst=/b,readonly=", "readonly= is neither"),
        ("src=v,dst=/b,volume-nocopy=2", "volume-nocopy=2 is neither"),
        ("type=bind,dst=/b", "a bind needs a source"),
        ("type=bind,src,dst=/b", "'src' has no value"),
        ("type=tmpfs,src=/a,dst=/b", "a tmpfs has no source"),
        ("type=bind,src=/a,dst=/b,volume-nocopy", "is not known for bind"),
    ],
)
def test_mounts_that_cannot_be(text: str, complaint: str) -> None:
    with pytest.raises(ComposeError, match=complaint):
        parse_mount_option(text)


@pytest.mark.parametrize("mode", ["host", "none", "container:x"])
def test_an_alias_needs_a_network(mode: str) -> None:
    arguments = Arguments(image="i", network=(mode,), network_alias=("name",))
    with pytest.raises(ComposeError, match="--network-alias is for networks"):
        container_spec(arguments, "c")

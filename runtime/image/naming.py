"""Names that images are given. Pure."""

from runtime.errors import InvalidError
from runtime.oci.reference import REGISTRY, Reference, parse_reference


def parse_target(name: str) -> Reference:
    """A name to give to an image: with a tag, without a digest. Raises InvalidError."""
    reference = parse_reference(name)
    if reference.transport != REGISTRY:
        raise InvalidError(f"{name} is not a name an image can have")
    if reference.digest:
        raise InvalidError(f"{name!r} has a digest; an image is given a tag")
    return reference

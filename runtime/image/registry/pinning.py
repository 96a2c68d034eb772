"""What a tag means in its registry now, written so that it means the same for ever."""

from runtime.errors import NotFoundError
from runtime.image.registry.client import Repository
from runtime.oci.reference import REGISTRY, parse_reference


def pin_image(text: str) -> str:
    """The full reference with its digest: docker.io/library/web:1@sha256:…; one to this machine stays as it is.

    Asks the registry. Raises NotFoundError, InvalidError, ImageError, EngineError.
    """
    reference = parse_reference(text)
    if reference.transport != REGISTRY:
        return text
    if reference.digest:
        return str(reference)
    repository = Repository(reference.registry, reference.repository)
    try:
        digest = repository.digest_of_tag(reference.tag)
    finally:
        repository.close()
    if not digest:
        raise NotFoundError(f"{reference.registry} has no image {text}", hint="is the tag right?")
    return f"{reference}@{digest}"

"""One door for all three kinds of images: `host:/`, `rootfs:/path`, and names in the store.

On the start path.
"""

from runtime.errors import InvalidError
from runtime.image.host import REFERENCE, resolve_host, resolve_rootfs
from runtime.image.store import ImageStore, ResolvedImage


def resolve_image(store: ImageStore, reference: str) -> ResolvedImage:
    """What `image:` of a service means. Raises NotFoundError, InvalidError, ImageError, OSError."""
    if reference == REFERENCE:
        return resolve_host(store.paths)
    if reference.startswith("host:"):
        raise InvalidError(f"image {reference}: only host:/ is an image of the host")
    if reference.startswith("rootfs:"):
        return resolve_rootfs(reference)
    return store.resolve(reference)

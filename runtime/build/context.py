"""The context of a build: a folder, a tar archive, a git repository or a URL, with what .dockerignore leaves out."""

import os
import sys
from collections.abc import Iterable

from runtime.build.dockerfile import DockerfileError
from runtime.build.ignore import Matcher, parse_ignore_file
from runtime.build.remote import clone, fetch_file, is_git_url, is_url
from runtime.build.request import BuildRequest
from runtime.build.tree import Tree
from runtime.build.witness import Witness
from runtime.errors import ImageError, InvalidError, NotFoundError
from runtime.image.stream import LayerStream, chunks

_MOST_DOCKERFILE_BYTES = 4 << 20


class Context:
    """A loaded context: its tree, and the Dockerfile's text with its name for messages."""

    def __init__(self, tree: Tree, dockerfile: str, name: str) -> None:
        self.tree = tree
        self.dockerfile = dockerfile
        self.name = name


def load_context(request: BuildRequest, space: str, witness: Witness) -> Context:
    """Bring the context here and read its Dockerfile. Raises NotFoundError, InvalidError, EngineError."""
    keep_git = request.given.get("BUILDKIT_CONTEXT_KEEP_GIT_DIR", "").lower() in ("1", "true")
    root = fetch_tree(request.context, f"{space}/context", witness, keep_git=keep_git)
    if request.dockerfile_inline:
        tree = Tree(root, _ignore(root, "", witness), witness=witness)
        return Context(tree, request.dockerfile_inline, "dockerfile_inline")
    alone = f"{root}/.dockerfile-alone"
    if request.context == "-" and os.path.exists(alone):
        with open(alone, encoding="utf-8", errors="surrogateescape") as file:
            text = file.read()
        os.unlink(alone)
        return Context(Tree(root), text, "Dockerfile")
    name = request.dockerfile or _default_name(root, witness)
    path = name if os.path.isabs(name) else f"{root}/{name}"
    text = _read(path, name, witness)
    tree = Tree(root, _ignore(root, path, witness), witness=witness)
    return Context(tree, text, name if not os.path.isabs(name) else os.path.basename(name))


def _default_name(root: str, witness: Witness) -> str:
    if not os.path.exists(f"{root}/Dockerfile") and os.path.exists(f"{root}/dockerfile"):
        witness.saw_opened(f"{root}/Dockerfile", None)
        return "dockerfile"
    return "Dockerfile"


def _read(path: str, name: str, witness: Witness) -> str:
    try:
        with open(path, "rb") as file:
            witness.saw_opened(path, os.fstat(file.fileno()))
            data = file.read(_MOST_DOCKERFILE_BYTES + 1)
    except FileNotFoundError as error:
        raise NotFoundError(f"there is no {name} ({path})", hint="say where with `dockerfile:`") from error
    except OSError as error:
        raise InvalidError(f"{path} can't be read: {error.strerror}") from error
    if len(data) > _MOST_DOCKERFILE_BYTES:
        raise InvalidError(f"{path} is larger than {_MOST_DOCKERFILE_BYTES} bytes: is it a Dockerfile?")
    return data.decode("utf-8", "surrogateescape")


def _ignore(root: str, dockerfile: str, witness: Witness) -> Matcher:
    """A Dockerfile's own ignore file counts instead of the context's."""
    for path in (f"{dockerfile}.dockerignore" if dockerfile else "", f"{root}/.dockerignore"):
        if not path:
            continue
        try:
            with open(path, encoding="utf-8", errors="surrogateescape") as file:
                witness.saw_opened(path, os.fstat(file.fileno()))
                return Matcher(parse_ignore_file(file.read()))
        except FileNotFoundError:
            witness.saw_opened(path, None)
            continue
        except OSError as error:
            raise InvalidError(f"{path} can't be read: {error.strerror}") from error
    return Matcher(())


def load_named(value: str, space: str, witness: Witness) -> Tree:
    """An additional context that is files. Raises NotFoundError, EngineError."""
    root = fetch_tree(value, space, witness)
    return Tree(root, _ignore(root, "", witness), witness=witness)


def fetch_tree(source: str, space: str, witness: Witness, *, keep_git: bool = False) -> str:
    """A folder with the files of a context; made in `space` where they are not in one yet."""
    if os.path.isdir(source):
        root = witness.roots[source] = os.path.realpath(source)
        return root
    witness.give_up()
    if source == "-":
        os.makedirs(space)
        _from_stream(space)
        return space
    if is_git_url(source):
        os.makedirs(space)
        clone(source, space, keep_git=keep_git)
        return space
    if is_url(source):
        os.makedirs(space)
        _from_url(source, space)
        return space
    if os.path.isfile(source):
        os.makedirs(space)
        with open(source, "rb") as file:
            _unpack(chunks(file), space, source)
        return space
    raise NotFoundError(f"the context {source} is not there")


def _from_url(url: str, space: str) -> None:
    path = f"{space}.fetched"
    fetch_file(url, path)
    with open(path, "rb") as file:
        head = LayerStream(chunks(file)).read(262)
        file.seek(0)
        if head[257:262] == b"ustar":
            _unpack(chunks(file), space, url)
        else:
            # As in the reference: a file that is no archive is the Dockerfile itself.
            with open(f"{space}/Dockerfile", "wb") as target:
                target.write(file.read(_MOST_DOCKERFILE_BYTES))
    os.unlink(path)


def _from_stream(space: str) -> None:
    data = sys.stdin.buffer.read()
    head = LayerStream(iter([data])).read(262) if data else b""
    if head[257:262] == b"ustar":
        _unpack(iter([data]), space, "standard input")
        return
    with open(f"{space}/.dockerfile-alone", "wb") as file:
        file.write(data)


def _unpack(source: Iterable[bytes], space: str, name: str) -> None:
    import tarfile

    from runtime.image.unpack import unpack_layer

    try:
        stream = LayerStream(source)
        with tarfile.open(fileobj=stream, mode="r|", errors="surrogateescape") as archive:  # type: ignore[call-overload]
            unpack_layer(archive, space, whiteouts=False)
    except (tarfile.TarError, ImageError) as error:
        raise DockerfileError(f"the context {name} is no archive that can be unpacked: {error}") from error

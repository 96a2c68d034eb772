"""COPY and ADD: what they take, from where, and how they are told apart in the cache."""

import os
import stat
from collections.abc import Sequence
from posixpath import normpath
from typing import TYPE_CHECKING, NamedTuple

from runtime.build.cache import make_key
from runtime.build.copying import Copier, Look, check_target, is_archive, place_of
from runtime.build.dockerfile import DockerfileError, Instruction, parse_json_form, split_words
from runtime.build.expand import expand, expand_document
from runtime.build.graph import find_stage
from runtime.build.ignore import Matcher
from runtime.build.remote import download, is_git_url, is_url
from runtime.build.tree import Found, Tree
from runtime.container.users import resolve_user
from runtime.errors import NotFoundError

if TYPE_CHECKING:
    from runtime.build.stage import StageBuilder

_BOTH = frozenset(("from", "chown", "chmod", "link", "parents", "exclude"))
_KNOWN = {"COPY": _BOTH, "ADD": frozenset((*_BOTH, "checksum", "keep-git-dir", "unpack")) - {"from"}}
_DOCUMENT_MODE = 0o644


class Copy(NamedTuple):
    """One COPY or ADD with its flags read and its words expanded."""

    instruction: Instruction
    sources: tuple[str, ...]
    target: str
    origin: str = ""
    chown: str = ""
    chmod: str = ""
    link: bool = False
    parents: bool = False
    exclude: tuple[str, ...] = ()
    checksum: str = ""
    keep_git: bool = False
    unpack: bool | None = None


def parse_copy(builder: "StageBuilder", instruction: Instruction) -> Copy:
    """Raises DockerfileError."""
    flags: dict[str, str] = {}
    exclude = []
    escape, line = builder.around.escape, instruction.line
    for name, value in instruction.flags:
        if name not in _KNOWN[instruction.name]:
            raise DockerfileError(f"{instruction.name} knows no --{name}", line)
        text = value if name == "from" else expand(value, builder.variables, escape, line)
        if name == "exclude":
            exclude.append(text)
        elif name in flags:
            raise DockerfileError(f"{instruction.name}: --{name} is given twice", line)
        else:
            flags[name] = text
    listed = parse_json_form(instruction.text)
    words = list(listed) if listed is not None else split_words(instruction.text, escape)
    if len(words) < 2:
        raise DockerfileError(f"{instruction.name} wants at least one source and a target", line)
    documents = {f"<<{'-' if item.strip_tabs else ''}{item.name}" for item in instruction.heredocs}
    expanded = [
        word
        if word.replace('"', "").replace("'", "") in documents
        else expand(word, builder.variables, escape, line)
        for word in words
    ]
    return Copy(
        instruction,
        tuple(expanded[:-1]),
        builder.path(expanded[-1]),
        origin=flags.get("from", ""),
        chown=flags.get("chown", ""),
        chmod=flags.get("chmod", ""),
        link=_boolean(flags.get("link", "false")),
        parents=_boolean(flags.get("parents", "false")),
        exclude=tuple(exclude),
        checksum=flags.get("checksum", ""),
        keep_git=_boolean(flags.get("keep-git-dir", "false")),
        unpack=_boolean(flags["unpack"]) if "unpack" in flags else None,
    )


def _boolean(text: str) -> bool:
    return text.lower() in ("", "true", "1", "t")


def copy_files(builder: "StageBuilder", instruction: Instruction) -> None:
    """Carry out a COPY or ADD. Raises DockerfileError, EngineError."""
    copy = parse_copy(builder, instruction)
    line = instruction.line
    tree = _tree(builder, copy, line)
    exclude = Matcher(copy.exclude) if copy.exclude else None
    plain = [name for name in copy.sources if not _is_special(copy, name)]
    quick = ""
    number = find_stage(copy.origin, builder.around.plan.stages[: builder.stage.number], by_number=True)
    looks = (copy.target, copy.chown, copy.chmod, copy.parents, copy.exclude, plain, instruction.name)
    if number >= 0:
        # What the stage was made from tells as much as its files, without a look at them.
        quick = builder.key("copy from", builder.around.sources.stage_key(number), *looks)
        if builder.around.cache.find(quick) is not None:
            builder.file_step(quick, f"{instruction.original} # buildkit", lambda _: None)
            return
    found = [item for name in plain for item in _find(tree, copy, name, line)]
    if exclude is not None:
        found = [
            item
            for item in found
            if stat.S_ISDIR(item.status.st_mode) or not exclude.excludes(os.path.basename(item.name))
        ]
    fetched = [_fetch(builder, copy, name) for name in copy.sources if _is_remote(copy, name)]
    documents = _documents(builder, copy)
    content = [tree.hash(found, builder.around.digests, exclude), documents]
    content += [item.hash(items, builder.around.digests) for item, items in fetched]
    key = quick or _copy_key(builder, copy, looks, content)
    everything = [*((tree, item) for item in found), *((t, item) for t, items in fetched for item in items)]
    if len(everything) + len(documents) > 1:
        check_target([item for _, item in everything] or found, copy.target, line)

    def act(root: str) -> None:
        look = Look(_owner(root, copy.chown), copy.chmod, builder.around.epoch)
        copier = Copier(root, look)
        try:
            into = copy.target.endswith("/") or copier.is_directory(copy.target) or len(everything) > 1
            for source_tree, item in everything:
                _place(copier, copy, source_tree, item, into, exclude)
            for name, text in documents.items():
                _write_document(root, copier, copy, name, text, look)
        finally:
            copier.close()

    builder.file_step(key, f"{instruction.original} # buildkit", act, alone=copy.link)


def _copy_key(builder: "StageBuilder", copy: Copy, looks: Sequence[object], content: Sequence[object]) -> str:
    what = ("copy", *looks[:-2], content, copy.unpack)
    # --link makes the same layer upon whatever there is; where it lies still counts here.
    return make_key("link", builder.key("upon"), *what) if copy.link else builder.key(*what)


def _is_special(copy: Copy, name: str) -> bool:
    return name.startswith("<<") or _is_remote(copy, name)


def _is_remote(copy: Copy, name: str) -> bool:
    return copy.instruction.name == "ADD" and (is_url(name) or is_git_url(name))


def _find(tree: Tree, copy: Copy, pattern: str, line: int) -> list[Found]:
    """What a source names. With --parents, what is before "/./" in it is left out where the files go."""
    found = tree.find(pattern, line)
    head, pivot, _ = pattern.partition("/./")
    if not copy.parents or not pivot:
        return found
    left_out = len([part for part in normpath(head).split("/") if part not in ("", ".")])
    parts = [item.name.split("/") for item in found]
    return [
        item._replace(name="/".join((*path[:left_out], ".", *path[left_out:])))
        for item, path in zip(found, parts, strict=True)
    ]


def _tree(builder: "StageBuilder", copy: Copy, line: int) -> Tree:
    sources = builder.around.sources
    if not copy.origin:
        return sources.context
    return tree_of(builder, copy.origin, line)


def tree_of(builder: "StageBuilder", name: str, line: int) -> Tree:
    """What `from` names: a stage, an additional context, or an image. Raises DockerfileError."""
    sources = builder.around.sources
    number = find_stage(name, builder.around.plan.stages[: builder.stage.number], by_number=True)
    if number >= 0:
        return sources.stage(number)
    context = sources.named_context(name)
    if context is not None:
        return context
    if name.isdigit() or name == builder.stage.name:
        raise DockerfileError(f"there is no stage {name} before this one", line)
    try:
        return sources.image(name)
    except NotFoundError as error:
        raise DockerfileError(f"from {name}: {error}", line, hint=error.hint) from error


def _owner(root: str, chown: str) -> tuple[int, int] | None:
    if not chown:
        return None
    user = resolve_user(root, chown if ":" in chown else f"{chown}")
    if ":" not in chown and chown.isdigit():
        # As BuildKit: a number alone is user and group.
        return int(chown), int(chown)
    return user.uid, user.gid


def _place(copier: Copier, copy: Copy, tree: Tree, item: Found, into: bool, exclude: Matcher | None) -> None:
    unpack = (
        copy.unpack if copy.unpack is not None else copy.instruction.name == "ADD" and not is_url(item.name)
    )
    path = f"{tree.root}/{item.path}"
    if unpack and stat.S_ISREG(item.status.st_mode) and is_archive(path):
        copier.unpack(path, copy.target)
        return
    copier.copy(tree, item, place_of(item, copy.target, into_directory=into, parents=copy.parents), exclude)


def _documents(builder: "StageBuilder", copy: Copy) -> dict[str, str]:
    found = {}
    for item in copy.instruction.heredocs:
        text = item.content
        if item.expand:
            text = expand_document(text, builder.variables, builder.around.escape, copy.instruction.line)
        found[item.name] = text
    return found


def _write_document(root: str, copier: Copier, copy: Copy, name: str, text: str, look: Look) -> None:
    into = copy.target.endswith("/") or copier.is_directory(copy.target)
    target = f"{copy.target.rstrip('/')}/{name}" if into else copy.target
    parent, _, last = target.rpartition("/")
    fd = copier.directory(parent or "/")
    try:
        place = f"/proc/self/fd/{fd}/{last}"
        if os.path.lexists(place):
            os.unlink(place)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        file = os.open(last, flags, 0o600, dir_fd=fd)
        with os.fdopen(file, "w", encoding="utf-8", errors="surrogateescape") as stream:
            stream.write(text)
        os.chown(place, *(look.owner or (0, 0)), follow_symlinks=False)
        os.chmod(place, look.mode_of(stat.S_IFREG | _DOCUMENT_MODE))
        if look.latest_s is not None:
            os.utime(place, (look.latest_s, look.latest_s))
    finally:
        os.close(fd)
    del root


def _fetch(builder: "StageBuilder", copy: Copy, url: str) -> tuple[Tree, list[Found]]:
    builder.around.witness.give_up()
    space = builder.new_space()
    name = download(url, space, checksum=copy.checksum, keep_git=copy.keep_git, line=copy.instruction.line)
    tree = Tree(space)
    if not name:
        return tree, [Found("", "", os.stat(space))]
    return tree, [found._replace(name=url if is_url(url) else name) for found in tree.find(name)]

"""RUN: the command, its environment, its mounts, and what of all that counts for the cache."""

import os
import stat
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from typing import TYPE_CHECKING, NamedTuple

from runtime.build.cache import cache_mount
from runtime.build.config import environment, shell_of
from runtime.build.dockerfile import DockerfileError, Instruction, parse_json_form
from runtime.build.expand import expand
from runtime.build.graph import find_stage
from runtime.build.sources import ensure_inside
from runtime.build.steps_copy import tree_of
from runtime.build.tree import Tree
from runtime.errors import EngineError
from runtime.oci.container_spec import MountRequest, Ulimit
from runtime.oci.generate import DEFAULT_PATH

if TYPE_CHECKING:
    from runtime.build.run import SecretFile, Step
    from runtime.build.stage import StageBuilder

# Arguments that every RUN sees without an ARG, and that change no cache key (docs: predefined ARGs).
PROXIES = ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "FTP_PROXY", "ftp_proxy", "NO_PROXY", "no_proxy",
           "ALL_PROXY", "all_proxy")  # fmt: skip
_MOUNT_KEYS = {
    "bind": {"target", "dst", "destination", "source", "src", "from", "rw", "readwrite", "ro", "readonly"},
    "cache": {"id", "target", "dst", "destination", "ro", "readonly", "rw", "readwrite", "sharing", "from",
              "source", "src", "mode", "uid", "gid"},
    "tmpfs": {"target", "dst", "destination", "size"},
    "secret": {"id", "target", "dst", "destination", "required", "mode", "uid", "gid", "env"},
    "ssh": {"id", "target", "dst", "destination", "required", "mode", "uid", "gid"},
}  # fmt: skip
_SCRIPTS = "/dev/pipes"  # where BuildKit has them
_TAIL_LINES = 30
_LIMIT_BYTES = 256 << 10


class StepError(EngineError):
    """A RUN step that ended with another code than 0. `output` is the end of what it printed."""

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message, hint=hint)


class RunMount(NamedTuple):
    """One --mount with its names made uniform."""

    kind: str
    options: Mapping[str, str]

    def flag(self, *names: str) -> bool:
        return any(self.options.get(name, "false").lower() in ("true", "1", "") for name in names)

    @property
    def target(self) -> str:
        return next((self.options[n] for n in ("target", "dst", "destination") if n in self.options), "")

    @property
    def source(self) -> str:
        return self.options.get("source") or self.options.get("src") or ""


def parse_mounts(builder: "StageBuilder", instruction: Instruction) -> list[RunMount]:
    """Raises DockerfileError."""
    found = []
    for name, value in instruction.flags:
        if name != "mount":
            continue
        options = dict(item.partition("=")[::2] for item in value.split(",") if item)
        options = {
            key: expand(text, builder.variables, builder.around.escape, instruction.line)
            for key, text in options.items()
        }
        kind = options.pop("type", "bind")
        if kind not in _MOUNT_KEYS:
            raise DockerfileError(
                f"RUN --mount=type={kind}: not bind, cache, tmpfs, secret or ssh", instruction.line
            )
        unknown = sorted(set(options) - _MOUNT_KEYS[kind])
        if unknown:
            raise DockerfileError(f"RUN --mount=type={kind} knows no {unknown[0]}", instruction.line)
        mount = RunMount(kind, options)
        if not mount.target and kind in ("bind", "cache", "tmpfs"):
            raise DockerfileError(f"RUN --mount=type={kind} has no target", instruction.line)
        found.append(mount)
    return found


def run_command(builder: "StageBuilder", instruction: Instruction) -> None:
    """Carry out a RUN. Raises DockerfileError, StepError, EngineError."""
    flags = {name: value for name, value in instruction.flags if name != "mount"}
    unknown = sorted(set(flags) - {"network", "security"})
    if unknown:
        raise DockerfileError(f"RUN knows no --{unknown[0]}", instruction.line)
    mounts = parse_mounts(builder, instruction)
    network = _network(builder, flags.get("network", ""), instruction.line)
    privileged = _privileged(builder, flags.get("security", ""), instruction.line)
    arguments = _arguments(builder, instruction)
    script = _script(instruction)
    values = {**builder.arguments, **environment(builder.config)}
    config, request = builder.config, builder.around.request
    key = builder.key(
        "run",
        arguments,
        script,
        sorted(values.items()),
        config.get("WorkingDir") or "/",
        config.get("User") or "",
        network,
        privileged,
        [_mount_key(builder, mount, instruction.line) for mount in mounts],
        request.extra_hosts,
        request.ulimits,
        request.shm_size_bytes,
    )
    proxies = {name: builder.around.given[name] for name in PROXIES if name in builder.around.given}

    def act(space: str) -> None:
        # A step from the cache needs nothing of what runs one.
        from runtime.build.run import Step, container_spec

        spec = container_spec(
            arguments,
            {"PATH": DEFAULT_PATH, **proxies, **values},
            working_dir=config.get("WorkingDir") or "/",
            user=config.get("User") or "",
            network_mode=network,
            privileged=privileged,
            shm_size_bytes=request.shm_size_bytes,
            ulimits=tuple(Ulimit(*item) for item in request.ulimits),
            extra_hosts=request.extra_hosts,
        )
        with ExitStack() as stack:
            requests, secrets, extra = _place_mounts(builder, mounts, stack, instruction.line)
            spec = spec._replace(environment=(*spec.environment, *extra.items()))
            if script is not None:
                requests.append(_place_script(space, *script))
            identity = os.urandom(32).hex()
            step = Step(
                builder.around.store.paths,
                identity,
                builder.lower() or (builder.around.sources.nothing,),
                space,
                spec,
                tuple(requests),
                tuple(secrets),
                builder.around.endpoint(identity) if network == "" else None,
            )
            _run(builder, step, instruction)

    text = "RUN " + " ".join(
        ([f"|{len(builder.arguments)}", *(f"{k}={v}" for k, v in builder.arguments.items())]
         if builder.arguments else []) + arguments
    )  # fmt: skip
    builder.file_step(key, f"{text} # buildkit", act, mounted=False)


def _run(builder: "StageBuilder", step: "Step", instruction: Instruction) -> None:
    from runtime.build.run import run_step

    output = _Output(lambda text: builder.tell({"step": builder.step, "output": text}))
    code = run_step(step, output.take)
    output.close()
    if code != 0:
        tail = "\n".join(f"  {text}" for text in output.tail)
        message = f"line {instruction.line}: {instruction.original} ended with exit code {code}"
        raise StepError(f"{message}\n{tail}" if tail else message)


class _Output:
    """Bytes to whole lines, of which the last are kept."""

    def __init__(self, tell: Callable[[str], None]) -> None:
        self._tell = tell
        self._rest = b""
        self.tail: list[str] = []

    def take(self, data: bytes) -> None:
        *lines, self._rest = (self._rest + data).split(b"\n")
        if lines:
            self._give([item.decode(errors="replace").rstrip("\r") for item in lines])

    def close(self) -> None:
        if self._rest:
            self._give([self._rest.decode(errors="replace")])

    def _give(self, lines: list[str]) -> None:
        self.tail = [*self.tail, *lines][-_TAIL_LINES:]
        self._tell("\n".join(lines))


def _network(builder: "StageBuilder", flag: str, line: int) -> str:
    """ "" for a network of the build's own, "none" or "host". Raises DockerfileError."""
    wanted = flag or builder.around.request.network or "default"
    if wanted in ("default", "bridge"):
        return ""
    if wanted not in ("none", "host"):
        raise DockerfileError(f"network {wanted!r} can't be built with", line, hint="default, none or host")
    if flag == "host" and builder.around.request.network != "host":
        _want(builder, "network.host", line)
    return wanted


def _privileged(builder: "StageBuilder", flag: str, line: int) -> bool:
    if flag in ("", "sandbox"):
        return builder.around.request.privileged
    if flag != "insecure":
        raise DockerfileError(f"RUN --security={flag}: not sandbox or insecure", line)
    if not builder.around.request.privileged:
        _want(builder, "security.insecure", line)
    return True


def _want(builder: "StageBuilder", entitlement: str, line: int) -> None:
    if entitlement not in builder.around.request.entitlements:
        raise DockerfileError(
            f"RUN wants {entitlement}, which is not granted",
            line,
            hint=f"build: {{entitlements: [{entitlement}]}}",
        )


def _arguments(builder: "StageBuilder", instruction: Instruction) -> list[str]:
    """The command. A document alone is the script; within a command line it is passed on to the shell."""
    words = parse_json_form(instruction.text)
    if words is not None:
        return list(words)
    shell = list(shell_of(builder.config))
    if not instruction.heredocs:
        return [*shell, instruction.text]
    first = instruction.heredocs[0]
    alone = len(instruction.heredocs) == 1 and instruction.text.strip().strip("<-\"'") == first.name
    if alone and not first.content.startswith("#!"):
        return [*shell, first.content]
    if alone:
        return [*shell, f"{_SCRIPTS}/{first.name}"]
    text = instruction.text + "\n"
    for item in instruction.heredocs:
        text += f"{item.content}{item.name}\n"
    return [*shell, text]


def _script(instruction: Instruction) -> tuple[str, str] | None:
    """(name, content) of a document that is a script with an interpreter of its own: it is mounted, not written."""
    documents = instruction.heredocs
    alone = len(documents) == 1 and instruction.text.strip().strip("<-\"'") == documents[0].name
    if alone and documents[0].content.startswith("#!"):
        return documents[0].name, documents[0].content
    return None


# ---- mounts


def _mount_key(builder: "StageBuilder", mount: RunMount, line: int) -> object:
    """What of a mount can change the result; content of caches, secrets and ssh does not count."""
    options = sorted((key, value) for key, value in mount.options.items())
    if mount.kind != "bind":
        return [mount.kind, options]
    tree = _origin(builder, mount, line)
    number = find_stage(
        mount.options.get("from", ""), builder.around.plan.stages[: builder.stage.number], by_number=True
    )
    if number >= 0:
        return [mount.kind, options, builder.around.sources.stage_key(number)]
    found = tree.find(mount.source or "/", line)
    return [mount.kind, options, tree.hash(found, builder.around.digests)]


def _origin(builder: "StageBuilder", mount: RunMount, line: int) -> Tree:
    name = mount.options.get("from", "")
    return tree_of(builder, name, line) if name else builder.around.sources.context


def _place_mounts(
    builder: "StageBuilder", mounts: list[RunMount], stack: ExitStack, line: int
) -> tuple[list[MountRequest], "list[SecretFile]", dict[str, str]]:
    """What the step is to see: mounts, secrets, and variables that go with them."""
    requests: list[MountRequest] = []
    secrets: list[SecretFile] = []
    extra: dict[str, str] = {}
    for mount in mounts:
        if mount.kind == "bind":
            requests.append(_bind(builder, mount, line))
        elif mount.kind == "tmpfs":
            size = int(mount.options.get("size", "0") or 0)
            options = ("exec", "dev", "suid")
            requests.append(
                MountRequest("tmpfs", builder.path(mount.target), size_bytes=size, options=options)
            )
        elif mount.kind == "cache":
            requests.append(_cache(builder, mount, stack, line))
        elif mount.kind == "secret":
            _secret(builder, mount, secrets, extra, line)
        else:
            _ssh(builder, mount, requests, extra, line)
    return requests, secrets, extra


def _place_script(space: str, name: str, content: str) -> MountRequest:
    path = f"{space}/script"
    with open(path, "w", encoding="utf-8", errors="surrogateescape") as file:
        file.write(content)
    os.chmod(path, 0o755)
    return MountRequest("bind", f"{_SCRIPTS}/{name}", path, read_only=True)


def _bind(builder: "StageBuilder", mount: RunMount, line: int) -> MountRequest:
    tree = _origin(builder, mount, line)
    writable = mount.flag("rw", "readwrite") if {"rw", "readwrite"} & set(mount.options) else False
    root = builder.around.sources.bindable(tree, writable=writable)
    found = Tree(root).find(mount.source or "/", line)[0]
    source = f"{root}/{found.path}".rstrip("/")
    return MountRequest("bind", builder.path(mount.target), source, read_only=not writable)


def _cache(builder: "StageBuilder", mount: RunMount, stack: ExitStack, line: int) -> MountRequest:
    sharing = mount.options.get("sharing", "shared")
    if sharing not in ("shared", "private", "locked"):
        raise DockerfileError(
            f"RUN --mount=type=cache,sharing={sharing}: not shared, private or locked", line
        )
    target = builder.path(mount.target)
    options = mount.options
    path = stack.enter_context(
        cache_mount(builder.around.store.paths, f"{options.get('id') or target}", sharing)
    )
    if not os.listdir(path):
        if options.get("from"):
            origin = tree_of(builder, options["from"], line)
            _fill(origin, mount.source or "/", path, line)
        os.chown(path, int(options.get("uid", "0")), int(options.get("gid", "0")))
        os.chmod(path, int(options.get("mode", "0755"), 8))
    source = ensure_inside(path, mount.source) if mount.source and not options.get("from") else path
    return MountRequest("bind", target, source, read_only=mount.flag("ro", "readonly")
                        if {"ro", "readonly"} & set(options) else False)  # fmt: skip


def _fill(origin: Tree, source: str, path: str, line: int) -> None:
    from runtime.build.copying import Copier, Look

    copier = Copier(path, Look())
    try:
        for found in origin.find(source, line):
            copier.copy(origin, found, "/")
    finally:
        copier.close()


def _secret(
    builder: "StageBuilder",
    mount: RunMount,
    secrets: "list[SecretFile]",
    extra: dict[str, str],
    line: int,
) -> None:
    options = mount.options
    name = options.get("id") or os.path.basename(mount.target)
    if not name:
        raise DockerfileError("RUN --mount=type=secret has neither id nor target", line)
    content = _read_secret(builder, name)
    if content is None:
        if mount.flag("required") and "required" in options:
            raise DockerfileError(
                f"the secret {name} is not given", line, hint=f"build: {{secrets: [{name}]}}"
            )
        return
    if "env" in options:
        extra[options["env"] or name] = content.decode(errors="surrogateescape")
    if "env" not in options or mount.target:
        from runtime.build.run import SecretFile

        secrets.append(
            SecretFile(
                builder.path(mount.target or f"/run/secrets/{name}"),
                content,
                int(options.get("uid", "0")),
                int(options.get("gid", "0")),
                int(options.get("mode", "0400"), 8),
            )
        )


def _read_secret(builder: "StageBuilder", name: str) -> bytes | None:
    for secret in builder.around.request.secrets:
        if secret.id != name:
            continue
        if secret.environment:
            value = os.environ.get(secret.environment)
            return None if value is None else value.encode(errors="surrogateescape")
        try:
            with open(secret.file, "rb") as file:
                data = file.read(_LIMIT_BYTES * 2 + 1)
        except OSError as error:
            raise EngineError(f"secret {name}: {secret.file} can't be read: {error.strerror}") from error
        if len(data) > _LIMIT_BYTES * 2:
            raise EngineError(f"secret {name} is larger than {_LIMIT_BYTES * 2} bytes")
        return data
    return None


def _ssh(
    builder: "StageBuilder",
    mount: RunMount,
    requests: list[MountRequest],
    extra: dict[str, str],
    line: int,
) -> None:
    identity = mount.options.get("id") or "default"
    given = builder.around.request.ssh
    if identity not in given:
        if mount.flag("required") and "required" in mount.options:
            raise DockerfileError(
                f"there is no ssh agent {identity}", line, hint=f"build: {{ssh: [{identity}]}}"
            )
        return
    path = given[identity] or os.environ.get("SSH_AUTH_SOCK", "")
    if not path or not os.path.exists(path) or not stat.S_ISSOCK(os.stat(path).st_mode):
        raise DockerfileError(
            f"ssh {identity}: {path or '$SSH_AUTH_SOCK'} is no agent's socket",
            line,
            hint="start one: eval $(ssh-agent); ssh-add KEY",
        )
    target = builder.path(mount.target or f"/run/buildkit/ssh_agent.{len(extra)}")
    requests.append(MountRequest("bind", target, path, recursive="disabled"))
    extra.setdefault("SSH_AUTH_SOCK", target)

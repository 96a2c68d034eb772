"""RUN: the command, its environment, and what of it counts for the cache. Its mounts are mounts.py's."""

import os
from collections.abc import Callable
from contextlib import ExitStack
from typing import TYPE_CHECKING

from runtime.build.config import environment, shell_of
from runtime.build.dockerfile import DockerfileError, Instruction, parse_json_form
from runtime.build.mounts import SCRIPTS, mount_key, parse_mounts, place_mounts, place_script
from runtime.errors import EngineError
from runtime.oci.container_spec import Ulimit

if TYPE_CHECKING:
    from runtime.build.run import Step
    from runtime.build.stage import StageBuilder

# Arguments that every RUN sees without an ARG, and that change no cache key (docs: predefined ARGs).
PROXIES = ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "FTP_PROXY", "ftp_proxy", "NO_PROXY", "no_proxy",
           "ALL_PROXY", "all_proxy")  # fmt: skip
_HOSTNAME = "buildkitsandbox"
_TAIL_LINES = 30


class StepError(EngineError):
    """A RUN step that ended with another code than 0. `output` is the end of what it printed."""

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message, hint=hint)


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
    hostname = builder.around.given.get("BUILDKIT_SANDBOX_HOSTNAME") or _HOSTNAME
    key = builder.key(
        "run",
        arguments,
        script,
        sorted(values.items()),
        config.get("WorkingDir") or "/",
        config.get("User") or "",
        network,
        privileged,
        [mount_key(builder, mount, instruction.line) for mount in mounts],
        request.extra_hosts,
        request.ulimits,
        request.shm_size_bytes,
        *([hostname] if hostname != _HOSTNAME else []),
    )
    proxies = {name: builder.around.given[name] for name in PROXIES if name in builder.around.given}

    def act(space: str) -> None:
        # A step from the cache needs nothing of what runs one.
        from runtime.build.run import Step, container_spec

        spec = container_spec(
            arguments,
            {**proxies, **values},
            working_dir=config.get("WorkingDir") or "/",
            user=config.get("User") or "",
            hostname=hostname,
            network_mode=network,
            privileged=privileged,
            shm_size_bytes=request.shm_size_bytes,
            ulimits=tuple(Ulimit(*item) for item in request.ulimits),
            extra_hosts=request.extra_hosts,
        )
        with ExitStack() as stack:
            requests, secrets, extra = place_mounts(builder, mounts, stack, instruction.line)
            spec = spec._replace(environment=(*spec.environment, *extra.items()))
            if script is not None:
                requests.append(place_script(space, *script))
            identity = os.urandom(32).hex()
            step = Step(
                builder.around.store.paths,
                identity,
                builder.network.begin(),
                builder.lower() or (builder.around.sources.nothing,),
                space,
                spec,
                tuple(requests),
                tuple(secrets),
                builder.network.endpoint(identity) if network == "" else None,
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
        return [*shell, f"{SCRIPTS}/{first.name}"]
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

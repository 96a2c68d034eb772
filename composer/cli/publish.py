"""`publish`: a project's files as an OCI artifact in a registry, from where `-f oci://…` runs it."""

import json
import os
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from composer.cli.context import Context
from composer.cli.remote import CONFIG_TYPE, ENV_FILE, ENV_TYPE, EXTENDS, FILE, FILE_TYPE, KIND, VERSION_KEY
from composer.errors import ComposeError
from composer.load.result import LoadResult
from composer.load.select import ALL
from composer.load.source import ServiceFile
from composer.output.transfer import LiveLines, TransferProgress
from composer.version import VERSION
from runtime import Artifact, Document, pin_image

_DIGESTS_FILE = "image-digests.yaml"
_WITH_ENV = "--with-env publishes variables and env files; or take what is secret out of the file"


class Arguments(NamedTuple):
    repository: str = ""
    resolve_image_digests: bool = False
    with_env: bool = False
    oci_version: str = ""
    app: bool = False
    yes: bool = False


def run(context: Context, arguments: Arguments) -> int:
    """Carry out `publish`; the exit code, 1 where a question was answered with no."""
    from composer.load.pipeline import load_project

    if arguments.oci_version not in ("", "1.0", "1.1"):
        raise ComposeError(f"--oci-version {arguments.oci_version!r} is not one of 1.0, 1.1")
    if arguments.app and arguments.oci_version == "1.0":
        raise ComposeError("--app needs --oci-version 1.1")
    # Services of all profiles, as whoever runs it may activate any of them.
    result = load_project(context.load_options()._replace(profiles=(ALL,)))
    services: Mapping[str, Any] = result.canonical.get("services") or {}
    env_files = [file for file in result.sources.service_files if file.attribute == "env_file"]
    _check(services, env_files, with_env=arguments.with_env)
    if not context.options.dry_run and not arguments.yes and not _agreed(context, services, env_files):
        return 1
    documents = _documents(result)
    images = list(dict.fromkeys(str(service["image"]) for service in services.values()))
    if context.options.dry_run:
        for document in documents:
            name = document.annotations.get(FILE) or document.annotations.get(ENV_FILE)
            context.out.line(f"publish {name} to {arguments.repository}")
        for image in images if arguments.app else ():
            context.out.line(f"publish image {image} to {arguments.repository}")
        return 0
    if arguments.resolve_image_digests:
        documents.append(_pinned(services))
    job = context.engine.images.begin_publish(
        arguments.repository,
        Artifact(KIND, CONFIG_TYPE, tuple(documents), {VERSION_KEY: VERSION}),
        images=images if arguments.app else (),
        old_format=arguments.oci_version == "1.0",
    )
    context.err.line(f" {arguments.repository} publishing")
    lines = LiveLines(context.status)
    try:
        digest = job.finish(
            TransferProgress(context.status, lines, arguments.repository, quiet=context.quiet)
        )
    finally:
        lines.close()
    context.err.line(f" {arguments.repository} published  {digest}")
    return 0


def _check(services: Mapping[str, Any], env_files: Sequence[ServiceFile], *, with_env: bool) -> None:
    built = sorted(name for name, service in services.items() if not service.get("image"))
    if built:
        raise ComposeError(
            f"cannot publish: only built, without an image of their own: {', '.join(built)}",
            hint="give each an `image` and push that",
        )
    if with_env:
        return
    for name, service in services.items():
        if service.get("environment"):
            raise ComposeError(
                f"service {name!r} has environment variable(s) declared",
                hint=_WITH_ENV,
            )
    if env_files:
        raise ComposeError(
            f"service {env_files[0].service!r} has the env file {env_files[0].path}, which would be published",
            hint=_WITH_ENV,
        )


def _agreed(context: Context, services: Mapping[str, Any], env_files: Sequence[ServiceFile]) -> bool:
    declared = env_files or any(item.get("environment") for item in services.values())
    if declared and not context.confirm(
        "You are about to publish environment variables. Anybody who can read the repository sees them.\n"
        "Go on? [y/N] "
    ):
        return False
    binds = [
        f"{name}: {mount.get('source')}"
        for name, service in services.items()
        for mount in service.get("volumes") or ()
        if mount.get("type") == "bind"
    ]
    return not binds or context.confirm(
        "These bind mounts are published as declarations, without what is in them:\n"
        + "".join(f"  {line}\n" for line in binds)
        + "Go on? [y/N] "
    )


def _documents(result: LoadResult) -> list[Document]:
    """The Compose files in their order, the files that they name, and the services' env and label files.

    Never what only fills in `${…}`, of the project or of an include: what was read is published by what it is, not by
    its name.
    """
    sources, files = result.sources, result.selected.config_files
    base = result.selected.working_dir
    found = [_compose_file(os.path.basename(path), sources.texts[path]) for path in files]
    for path in sources.compose_files:
        if path not in files:
            found.append(_compose_file(_inside(path, base), sources.texts[path], extends=True))
    for path in sorted({file.path for file in sources.service_files}):
        annotations = {ENV_FILE: _inside(path, base), VERSION_KEY: VERSION}
        found.append(Document(ENV_TYPE, sources.texts[path].encode(), annotations))
    return found


def _compose_file(name: str, text: str, *, extends: bool = False) -> Document:
    annotations = {FILE: name, VERSION_KEY: VERSION, **({EXTENDS: "true"} if extends else {})}
    return Document(FILE_TYPE, text.encode(), annotations)


def _inside(path: str, base: str) -> str:
    """A file's name as the published files know it. Raises ComposeError."""
    name = os.path.relpath(path, base)
    if name.startswith("../"):
        raise ComposeError(
            f"{path} is outside of the project's folder {base}", hint="move it into that to publish it"
        )
    return name


def _pinned(services: Mapping[str, Any]) -> Document:
    images = {name: {"image": pin_image(str(service["image"]))} for name, service in services.items()}
    # JSON is YAML too.
    return _compose_file(_DIGESTS_FILE, json.dumps({"services": images}, indent=2) + "\n")

"""`publish`: a project's files as an OCI artifact in a registry, from where `-f oci://…` runs it."""

import json
import os
from collections.abc import Mapping
from typing import Any, NamedTuple

from composer.cli.context import Context
from composer.cli.remote import CONFIG_TYPE, ENV_FILE, ENV_TYPE, EXTENDS, FILE, FILE_TYPE, KIND, VERSION_KEY
from composer.errors import ComposeError
from composer.load.result import LoadResult
from composer.load.source import STDIN
from composer.output.transfer import LiveLines, TransferProgress
from composer.version import VERSION
from runtime import Artifact, Document, pin_image

_DIGESTS_FILE = "image-digests.yaml"
_YAML = (".yaml", ".yml")


class Arguments(NamedTuple):
    repository: str = ""
    resolve_image_digests: bool = False
    with_env: bool = False
    oci_version: str = ""
    app: bool = False
    yes: bool = False
    dry_run: bool = False


def run(context: Context, arguments: Arguments) -> int:
    """Carry out `publish`; the exit code, 1 where a question was answered with no."""
    from composer.load.pipeline import load_project

    if arguments.oci_version not in ("", "1.0", "1.1"):
        raise ComposeError(f"--oci-version {arguments.oci_version!r} is not one of 1.0, 1.1")
    if arguments.app and arguments.oci_version == "1.0":
        raise ComposeError("--app needs --oci-version 1.1")
    result = load_project(context.load_options())
    services: Mapping[str, Any] = result.canonical.get("services") or {}
    _check(services, with_env=arguments.with_env)
    if not context.options.dry_run and not arguments.yes and not _agreed(context, services):
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


def _check(services: Mapping[str, Any], *, with_env: bool) -> None:
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
                hint="--with-env publishes them and env files too; or take what is secret out of the file",
            )


def _agreed(context: Context, services: Mapping[str, Any]) -> bool:
    declared = any(item.get("environment") for item in services.values())
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
    """The Compose files in their order, the files that they name, and the services' env files."""
    texts, files = result.sources.texts, result.selected.config_files
    base = result.selected.working_dir
    env_files = _env_files(result)
    found = [_compose_file(os.path.basename(path), texts[path]) for path in files if path in texts]
    for path, text in texts.items():
        if path not in files and path not in env_files and path.endswith(_YAML):
            found.append(_compose_file(_inside(path, base), text, extends=True))
    for path in sorted(env_files):
        try:
            with open(path, "rb") as file:
                data = file.read()
        except OSError as error:
            raise ComposeError(f"the env file {path}: {error.strerror}") from error
        name = _inside(path, base)
        found.append(Document(ENV_TYPE, data, {ENV_FILE: name, VERSION_KEY: VERSION}))
    return found


def _env_files(result: LoadResult) -> set[str]:
    """The services' env files. The project's own .env is none, unless a service has variables from it."""
    own = f"{result.selected.working_dir}/.env"
    found = {path for path in result.sources.texts if not path.endswith(_YAML) and path not in (own, STDIN)}
    for name, service in (result.canonical.get("services") or {}).items():
        for key in service.get("environment") or ():
            origin = result.marks.at(("services", name, "environment", key))
            if origin is not None and origin.file in result.sources.texts and not origin.file.endswith(_YAML):
                found.add(origin.file)
    return found - set(result.selected.config_files)


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

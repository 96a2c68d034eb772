"""`build:` to the engine's BuildRequest. Pure."""

from composer.errors import ComposeError
from composer.model.parts import Build
from composer.model.project import Project
from composer.model.service import Service
from composer.version import VERSION
from runtime import LOCAL_IMAGE, BuildRequest, BuildSecret

_SERVICE = "service:"


def image_name(service: Service, project: Project) -> str:
    """The image of a service: its own, or what its build is called (PROJECT-SERVICE, as in the reference)."""
    return service.image or (f"{project.name}-{service.name}" if service.build is not None else "")


def translate_build(service: Service, project: Project) -> BuildRequest | None:
    """What to build for a service, or None. Raises ComposeError."""
    build = service.build
    if build is None:
        return None
    name = image_name(service, project)
    labels = {
        "com.docker.compose.project": project.name,
        "com.docker.compose.service": service.name,
        "com.docker.compose.version": VERSION,
    }
    return BuildRequest(
        context=build.context,
        names=(name, *(tag for tag in build.tags if tag != name)),
        dockerfile="" if build.dockerfile_inline else build.dockerfile,
        dockerfile_inline=build.dockerfile_inline,
        args={key: value for key, value in build.args.items() if value is not None},
        target=build.target,
        labels={**labels, **build.labels},
        cache_from=build.cache_from,
        cache_to=build.cache_to,
        network=build.network,
        no_cache=build.no_cache,
        no_cache_filter=build.no_cache_filter,
        pull=build.pull,
        platforms=build.platforms or ((service.platform,) if service.platform else ()),
        secrets=_secrets(build, service, project),
        ssh={key: value or "" for key, value in build.ssh.items()},
        additional_contexts=_contexts(build, service, project),
        shm_size_bytes=build.shm_size,
        ulimits=tuple((name, limit.soft, limit.hard) for name, limit in build.ulimits.items()),
        extra_hosts=tuple(_host(entry) for entry in build.extra_hosts),
        privileged=build.privileged,
        entitlements=build.entitlements,
    )


def _secrets(build: Build, service: Service, project: Project) -> tuple[BuildSecret, ...]:
    found = []
    for grant in build.secrets:
        secret = project.secrets[grant.source]
        if not secret.file and not secret.environment:
            raise ComposeError(
                f"service {service.name}: secret {grant.source} has neither file nor environment to build with"
            )
        found.append(BuildSecret(grant.target or grant.source, secret.file, secret.environment))
    return tuple(found)


def _contexts(build: Build, service: Service, project: Project) -> dict[str, str]:
    contexts = {}
    for name, value in build.additional_contexts.items():
        target = value or ""
        if target.startswith(_SERVICE):
            other = project.services.get(target.removeprefix(_SERVICE))
            if other is None:
                raise ComposeError(
                    f"service {service.name}: additional context {name} is that of {target}, which is not there",
                    hint="name an active service of this file",
                )
            target = LOCAL_IMAGE + image_name(other, project)
        contexts[name] = target
    return contexts


def _host(entry: str) -> tuple[str, str]:
    name, _, address = entry.partition("=")
    return name, address

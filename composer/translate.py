"""Project to what the planner and the engine work with: `Desired` and ContainerSpecs. Pure.

One function per group of attributes. What the engine does not honour is announced by `load.support`.
"""

from collections.abc import Mapping
from typing import Any

from composer import graph
from composer.config_hash import config_hash, service_fields, value_hash
from composer.load.origins import Marks
from composer.load.result import LoadResult
from composer.load.support import refusals, refused_volume
from composer.model.parts import Mount
from composer.model.project import Project, Volume
from composer.model.service import Service
from composer.plan.desired import (
    PROBLEM,
    Content,
    Dependency,
    Desired,
    DesiredService,
    DesiredVolume,
)
from composer.translate_build import image_name, translate_build
from composer.translate_grants import content_fields, grant_problems, translate_grants
from composer.translate_host import (
    seccomp_files,
    storage_problems,
    translate_block_limits,
    translate_device_requests,
    translate_devices,
    translate_namespace,
    translate_security,
    translate_storage,
    translate_volumes_from,
    userns_problems,
)
from composer.translate_life import (
    ON_UNHEALTHY,
    logging_problems,
    rollback_policy,
    translate_hook,
    translate_pre_start,
    translate_restart,
    unhealthy_problems,
    update_policy,
)
from composer.translate_models import translate_models
from composer.translate_networks import (
    desired_networks,
    place_of,
    translate_attachments,
    translate_links,
    translate_network_mode,
    translate_ports,
)
from composer.translate_watch import translate_watch
from composer.values import parse_nano_cpus, parse_size_bytes
from composer.version import VERSION
from runtime import (
    ContainerSpec,
    Healthcheck,
    LogRequest,
    MountRequest,
    ResourceLimits,
    Ulimit,
    build_to_json,
)
from runtime import to_json as spec_to_json


def translate_project(result: LoadResult, contents: Mapping[str, Content] | None = None) -> Desired:
    """Everything the planner needs of a loaded project. `contents` are what its secrets and configs hold."""
    held = contents or {}
    project = result.project
    levels = graph.levels({name: tuple(s.depends_on) for name, s in project.services.items()})
    services = tuple(
        _desired_service(result, project.services[name], level, held) for name, level in levels.items()
    )
    used_volumes = {m.source for s in project.services.values() for m in s.volumes if m.type == "volume"}
    return Desired(
        project=project.name,
        working_dir=project.working_dir,
        config_files=project.config_files,
        services=services,
        networks=desired_networks(project, result.marks, everything=result.all_resources),
        volumes=tuple(
            _desired_volume(key, volume, project.name, result.marks)
            for key, volume in project.volumes.items()
            if key in used_volumes or result.all_resources
        ),
        inactive=tuple(project.inactive),
        all_volumes=tuple(volume.name for volume in project.volumes.values() if not volume.external),
        warnings=result.warnings,
        contents=held,
    )


def _desired_service(
    result: LoadResult, service: Service, level: int, contents: Mapping[str, Content]
) -> DesiredService:
    project = result.project
    spec = translate_service(service, project, contents)
    fields = {
        **service_fields(result.canonical["services"][service.name]),
        **content_fields([grant.content for grant in spec.files], contents),
        **content_fields([f"seccomp/{path}" for path in seccomp_files(service).values()], contents),
        **content_fields(["models/url"] if service.models else [], contents),
    }
    if spec.restart_unhealthy:
        fields[ON_UNHEALTHY] = value_hash("restart")
    restart = translate_restart(service)
    build = translate_build(service, project)
    used = {
        "networks": {key: project.networks[key].name for key in service.networks if key in project.networks},
        "volumes": {m.source: _volume_name(project, m.source) for m in service.volumes if m.type == "volume"},
    }
    return DesiredService(
        name=service.name,
        scale=0 if service.provider else service.replicas,
        image=spec.image,
        spec={key: value for key, value in spec_to_json(spec).items() if key != "name"},
        config_hash=config_hash([fields, used]),
        level=level,
        depends_on=tuple(
            Dependency(other, entry.condition, entry.required, entry.restart)
            for other, entry in service.depends_on.items()
            if other in project.services
        ),
        container_name=service.container_name,
        pull_policy=service.pull_policy,
        platform=service.platform,
        build=build_to_json(build) if build is not None else {},
        attach=service.attach,
        watch=translate_watch(service),
        job=restart.name == "no",
        origin=place_of(result.marks, ("services", service.name)),
        fields=fields,
        update=update_policy(service),
        rollback=rollback_policy(service),
        provider=_provider(service),
        pre_start=translate_pre_start(service, spec),
        problems=(
            *refusals(service.name, result.canonical["services"][service.name], result.marks),
            *_volume_problems(result, service),
            *grant_problems(service),
            *unhealthy_problems(service, place_of(result.marks, ("services", service.name, ON_UNHEALTHY))),
            *userns_problems(spec, place_of(result.marks, ("services", service.name, "userns_mode"))),
            *storage_problems(service, place_of(result.marks, ("services", service.name, "storage_opt"))),
            *logging_problems(spec, place_of(result.marks, ("services", service.name, "logging"))),
            *(content.value for content in _asked_for(service, spec, contents) if content.kind == PROBLEM),
        ),
        origins={p: place_of(result.marks, ("services", service.name, *p.split(".", 1))) for p in fields},
    )


def _provider(service: Service) -> dict[str, Any]:
    if service.provider is None:
        return {}
    options = {name: list(values) for name, values in service.provider.options.items()}
    return {"type": service.provider.type, "options": options}


def _asked_for(service: Service, spec: ContainerSpec, contents: Mapping[str, Content]) -> list[Content]:
    names = [
        *(grant.content for grant in spec.files),
        *(f"seccomp/{path}" for path in seccomp_files(service).values()),
        *(["models/url"] if service.models else []),
    ]
    return [contents[name] for name in names if name in contents]


def _volume_problems(result: LoadResult, service: Service) -> tuple[str, ...]:
    volumes = result.canonical.get("volumes") or {}
    used = dict.fromkeys(mount.source for mount in service.volumes if mount.type == "volume")
    found = (refused_volume(key, volumes[key] or {}, result.marks) for key in used if key in volumes)
    return tuple(problem for problem in found if problem)


def _desired_volume(key: str, volume: Volume, project: str, marks: Marks) -> DesiredVolume:
    desired = DesiredVolume(
        key=key,
        name=volume.name,
        external=volume.external,
        driver=volume.driver,
        driver_opts=dict(volume.driver_opts),
    )
    fingerprint = config_hash([*desired, dict(volume.labels)])
    labels = {
        **volume.labels,
        "com.docker.compose.project": project,
        "com.docker.compose.version": VERSION,
        "com.docker.compose.volume": key,
    }
    return desired._replace(labels=labels, config_hash=fingerprint, origin=place_of(marks, ("volumes", key)))


def translate_service(
    service: Service, project: Project, contents: Mapping[str, Content] | None = None
) -> ContainerSpec:
    """The container of a service, without name and number. `contents`: see `translate_project`."""
    return ContainerSpec(
        name="",
        image=image_name(service, project),
        labels={**service.labels, **_labels(service, project)},
        command=service.command,
        entrypoint=service.entrypoint,
        environment=(
            *translate_models(service, project, contents or {}),
            *((key, value) for key, value in service.environment.items() if value is not None),
        ),
        working_dir=service.working_dir,
        user=service.user,
        group_add=service.group_add,
        hostname=service.hostname,
        domainname=service.domainname,
        tty=service.tty,
        stdin_open=service.stdin_open,
        init=bool(service.init),
        read_only=service.read_only,
        privileged=service.privileged,
        cap_add=service.cap_add,
        cap_drop=service.cap_drop,
        security_opt=translate_security(service, contents or {}),
        sysctls=dict(service.sysctls),
        ulimits=tuple(Ulimit(name, limit.soft, limit.hard) for name, limit in service.ulimits.items()),
        oom_score_adj=service.oom_score_adj,
        shm_size_bytes=service.shm_size,
        resources=translate_resources(service),
        block_limits=translate_block_limits(service),
        storage_bytes=translate_storage(service),
        cgroup_parent=service.cgroup_parent,
        devices=translate_devices(service),
        device_requests=translate_device_requests(service),
        device_cgroup_rules=service.device_cgroup_rules,
        annotations=dict(service.annotations),
        ipc=translate_namespace(service.ipc, project),
        pid=translate_namespace(service.pid, project),
        uts=service.uts,
        cgroup=service.cgroup,
        userns="" if service.userns_mode == "host" else service.userns_mode,
        volumes_from=translate_volumes_from(service, project),
        mounts=_mounts(service, project),
        files=translate_grants(service),
        network_mode=translate_network_mode(service, project),
        networks=translate_attachments(service, project),
        links=translate_links(service),
        ports=translate_ports(service, project),
        expose=service.expose,
        extra_hosts=tuple(_host(entry) for entry in service.extra_hosts),
        dns=service.dns,
        dns_search=service.dns_search,
        dns_opt=service.dns_opt,
        healthcheck=_healthcheck(service),
        restart=translate_restart(service),
        restart_unhealthy=service.extensions.get(ON_UNHEALTHY) == "restart",
        stop_signal=service.stop_signal,
        logging=LogRequest(service.logging.driver, dict(service.logging.options))
        if service.logging
        else LogRequest(),
        post_start=tuple(map(translate_hook, service.post_start)),
        pre_stop=tuple(map(translate_hook, service.pre_stop)),
        runtime=service.runtime,
        stop_grace_period_ns=10_000_000_000
        if service.stop_grace_period is None
        else service.stop_grace_period,
    )


def _labels(service: Service, project: Project) -> dict[str, str]:
    prefix = "com.docker.compose."
    depends = ",".join(
        f"{other}:{entry.condition}:{'true' if entry.restart else 'false'}"
        for other, entry in service.depends_on.items()
    )
    return {
        f"{prefix}depends_on": depends,
        f"{prefix}oneoff": "False",
        f"{prefix}project": project.name,
        f"{prefix}project.config_files": ",".join(project.config_files),
        f"{prefix}project.working_dir": project.working_dir,
        f"{prefix}service": service.name,
        f"{prefix}version": VERSION,
    }


def translate_resources(service: Service) -> ResourceLimits:
    """Limits of `deploy.resources` over those of the service's own attributes."""
    resources = service.deploy.resources if service.deploy else None
    limits = resources.limits if resources else None
    reservations = resources.reservations if resources else None
    cpus = (limits.cpus if limits else 0) or service.cpus
    return ResourceLimits(
        memory_bytes=(limits.memory if limits else 0) or service.mem_limit,
        memory_swap_bytes=service.memswap_limit,
        memory_swappiness=service.mem_swappiness,
        oom_kill_disable=service.oom_kill_disable,
        cpu_rt_runtime_us=service.cpu_rt_runtime,
        cpu_rt_period_us=service.cpu_rt_period,
        memory_reservation_bytes=(reservations.memory if reservations else 0) or service.mem_reservation,
        nano_cpus=parse_nano_cpus(repr(cpus)),
        cpu_quota_us=service.cpu_quota,
        cpu_period_us=service.cpu_period,
        cpu_shares=service.cpu_shares,
        cpuset_cpus=service.cpuset,
        pids_limit=(limits.pids if limits else 0) or service.pids_limit,
    )


def _volume_name(project: Project, key: str) -> str:
    return project.volumes[key].name if key in project.volumes else key


def _mounts(service: Service, project: Project) -> tuple[MountRequest, ...]:
    honoured = (mount for mount in service.volumes if mount.type in ("bind", "volume", "tmpfs", "image"))
    return (*(_mount(mount, project) for mount in honoured), *(_tmpfs(text) for text in service.tmpfs))


def _mount(mount: Mount, project: Project) -> MountRequest:
    selinux = mount.bind.selinux if mount.bind else ""
    request = MountRequest(mount.type, mount.target, read_only=mount.read_only, selinux=selinux)
    if mount.type == "bind":
        bind = mount.bind
        return request._replace(
            source=mount.source,
            create_host_path=bind.create_host_path if bind else False,
            propagation=bind.propagation if bind else "",
            recursive=bind.recursive if bind else "",
        )
    if mount.type == "tmpfs":
        tmpfs = mount.tmpfs
        return request._replace(size_bytes=tmpfs.size if tmpfs else 0, mode=tmpfs.mode if tmpfs else None)
    if mount.type == "image":
        return request._replace(source=mount.source, subpath=mount.image.subpath if mount.image else "")
    return request._replace(
        source=_volume_name(project, mount.source) if mount.source else "",
        nocopy=mount.volume.nocopy if mount.volume else False,
        subpath=mount.volume.subpath if mount.volume else "",
        labels=tuple(mount.volume.labels.items()) if mount.volume and not mount.source else (),
    )


def _tmpfs(text: str) -> MountRequest:
    """`/path[:size=64m,mode=1777,noexec,…]`."""
    target, _, words = text.partition(":")
    request = MountRequest("tmpfs", target)
    options: list[str] = []
    for word in filter(None, words.split(",")):
        key, _, value = word.partition("=")
        try:
            if key == "size" and not value.endswith("%"):
                request = request._replace(size_bytes=parse_size_bytes(value))
                continue
            if key == "mode":
                request = request._replace(mode=int(value, 8))
                continue
        except ValueError:
            pass  # the kernel's own message is about this word, at the mount
        if key == "ro":
            request = request._replace(read_only=True)
        elif key != "rw":
            options.append(word)
    return request._replace(options=tuple(options))


def _host(entry: str) -> tuple[str, str]:
    name, _, address = entry.partition("=")
    return name, address


def _healthcheck(service: Service) -> Healthcheck | None:
    check = service.healthcheck
    if check is None:
        return None
    if check.disable:
        return Healthcheck(("NONE",))
    return Healthcheck(
        test=check.test,
        interval_ns=check.interval or 0,
        timeout_ns=check.timeout or 0,
        retries=check.retries or 0,
        start_period_ns=check.start_period or 0,
        start_interval_ns=check.start_interval or 0,
    )

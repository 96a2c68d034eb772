"""The choice of a container's logging driver."""

from collections.abc import Mapping

from runtime.image.store import ResolvedImage
from runtime.oci.container_spec import ContainerSpec
from runtime.oci.logging import (
    JOURNALD,
    JSON_FILE,
    NONE,
    SYSLOG,
    Address,
    LogPlan,
    attributes,
    expand_tag,
    plan_logging,
)
from runtime.shim.logs import daemons
from runtime.shim.logs.files import LogFile
from runtime.shim.logs.reader import JSON_SUFFIX
from runtime.shim.logs.remote import Outgoing
from runtime.shim.logs.writer import LogWriter, NoWriter, Writer
from runtime.shim.loop import Loop

_DEFAULT_TAG = "{{.ID}}"


def open_log(folder: str, container_id: str, spec: ContainerSpec, image: ResolvedImage, loop: Loop) -> Writer:
    """The writer for a container whose DATA directory is `folder`; for use before the shim leaves the host's network.

    Raises InvalidError, StartError if a daemon that is to take the log can't be reached.
    """
    plan = plan_logging(spec.logging)
    if plan.driver == NONE:
        return NoWriter()
    path = f"{folder}/log" if plan.driver != JSON_FILE else f"{folder}/{container_id}{JSON_SUFFIX}"
    file = LogFile(path, loop, max_bytes=plan.max_bytes, max_files=plan.max_files, compress=plan.compress)
    if plan.driver not in (JSON_FILE, SYSLOG, JOURNALD):
        return LogWriter(file)
    names = {
        "ID": container_id[:12],
        "FullID": container_id,
        "Name": spec.name,
        "ImageName": spec.image,
        "ImageID": image.id.rpartition(":")[2][:12],
        "ImageFullID": image.id,
        "DaemonName": "pycompose",
    }
    tag = expand_tag(_DEFAULT_TAG if plan.tag is None else plan.tag, names)
    chosen = _attributes(plan, spec, image)
    if plan.driver == JSON_FILE:
        from runtime.shim.logs.json_file import JsonFileWriter

        return JsonFileWriter(file, {**chosen, **({"tag": tag} if plan.tag else {})})
    return _open_daemon(plan, LogWriter(file), loop, names, tag, chosen)


def _open_daemon(
    plan: LogPlan,
    kept: LogWriter,
    loop: Loop,
    names: Mapping[str, str],
    tag: str,
    chosen: Mapping[str, str],
) -> Writer:
    if plan.driver == SYSLOG:
        outgoing = _open_syslog(plan, loop)
        return daemons.DaemonWriter(outgoing, kept, daemons.syslog_encoder(plan, tag, stream=outgoing.stream))
    fields = {
        "CONTAINER_ID": names["ID"],
        "CONTAINER_ID_FULL": names["FullID"],
        "CONTAINER_NAME": names["Name"],
        "CONTAINER_TAG": tag,
        "IMAGE_NAME": names["ImageName"],
        "SYSLOG_IDENTIFIER": tag,
        **{daemons.journal_name(name): text for name, text in chosen.items() if daemons.journal_name(name)},
    }
    outgoing = Outgoing(loop, Address("unixgram", daemons.JOURNAL_SOCKET), plan.buffer_bytes)
    return daemons.DaemonWriter(outgoing, kept, daemons.journal_encoder(fields))


def _open_syslog(plan: LogPlan, loop: Loop) -> Outgoing:
    if plan.address.kind != "tcp+tls":
        return Outgoing(loop, plan.address, plan.buffer_bytes)
    from runtime.shim.logs.encrypted import EncryptedOutgoing

    return EncryptedOutgoing(loop, plan.address, plan.buffer_bytes, plan.encryption)


def _attributes(plan: LogPlan, spec: ContainerSpec, image: ResolvedImage) -> dict[str, str]:
    variables = dict(entry.partition("=")[::2] for entry in image.config.env)
    variables.update((name, value) for name, value in spec.environment if value is not None)
    return attributes(plan, {**image.config.labels, **spec.labels}, variables)

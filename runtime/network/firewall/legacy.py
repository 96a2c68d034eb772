"""The older iptables, whose rules nf_tables cannot see: an accept per bridge where its FORWARD chain drops.

Its tables are only reachable through its own program, which is called here if they are in use and it is
installed.
"""

import os

_LOADED = "/proc/thread-self/net/ip_tables_names"
_PROGRAM = "iptables-legacy"
_SEARCHED = ("/usr/sbin", "/sbin", "/usr/local/sbin", "/usr/bin")


def ensure_accepts(bridge: str) -> tuple[str, ...]:
    """Lets a bridge's packets through; returns what the user should know, "" none. Idempotent.

    Raises OSError.
    """
    if not _in_use():
        return ()
    program = _find_program()
    if not program:
        return (
            f"the filter table of {_PROGRAM} is in use, but the program is not installed: "
            f"if its FORWARD chain drops packets, containers on {bridge} reach no other machine",
        )
    status, text = _run(program, "-w", "5", "-S", "FORWARD")
    if status or "-P FORWARD DROP" not in text:
        return ()
    chain = "DOCKER-USER" if _run(program, "-w", "5", "-S", "DOCKER-USER")[0] == 0 else "FORWARD"
    for rule in _rules(bridge):
        if _run(program, "-w", "5", "-C", chain, *rule)[0]:
            status, text = _run(program, "-w", "5", "-I", chain, *rule)
            if status:
                return (f"{_PROGRAM} refused a rule for {bridge} in {chain}: {text.strip()}",)
    return ()


def remove_accepts(bridge: str) -> None:
    """Takes a bridge's rules away again; what is not there is no error."""
    program = _find_program() if _in_use() else ""
    if not program:
        return
    for chain in ("DOCKER-USER", "FORWARD"):
        for rule in _rules(bridge):
            while _run(program, "-w", "5", "-D", chain, *rule)[0] == 0:
                pass


def _rules(bridge: str) -> tuple[tuple[str, ...], ...]:
    comment = ("-m", "comment", "--comment", f"pycompose {bridge}", "-j", "ACCEPT")
    return (("-i", bridge, *comment), ("-o", bridge, *comment))


def _in_use() -> bool:
    try:
        with open(_LOADED) as file:
            return "filter" in file.read().split()
    except OSError:
        return False


def _find_program() -> str:
    return next((p for p in (f"{d}/{_PROGRAM}" for d in _SEARCHED) if os.access(p, os.X_OK)), "")


def _run(program: str, *arguments: str) -> tuple[int, str]:
    """(exit code, all output) of the program, without a shell."""
    reader, writer = os.pipe2(os.O_CLOEXEC)
    try:
        actions = [(os.POSIX_SPAWN_DUP2, writer, 1), (os.POSIX_SPAWN_DUP2, writer, 2)]
        environment = {"PATH": ":".join(_SEARCHED), "LC_ALL": "C"}
        pid = os.posix_spawn(program, [program, *arguments], environment, file_actions=actions)
    finally:
        os.close(writer)
    with os.fdopen(reader, errors="replace") as file:
        text = file.read()
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), text

"""The older iptables, whose rules nf_tables cannot see: an accept per bridge where its FORWARD chain drops.

Its tables are only reachable through its own program, which is called here if they are in use and it is
installed.
"""

from runtime.network.firewall.programs import SEARCHED, find_program, run_program

_LOADED = "/proc/thread-self/net/ip_tables_names"
_PROGRAM = "iptables-legacy"
_SEARCHED = SEARCHED


def ensure_accepts(bridge: str) -> tuple[str, ...]:
    """Lets a bridge's packets through; returns what the user should know, "" none. Idempotent.

    Raises OSError.
    """
    if not _in_use():
        return ()
    program = _find()
    if not program:
        return (
            f"the filter table of {_PROGRAM} is in use, but the program is not installed: "
            f"if its FORWARD chain drops packets, containers on {bridge} reach no other machine",
        )
    status, text = run_program(program, "-w", "5", "-S", "FORWARD")
    if status or "-P FORWARD DROP" not in text:
        return ()
    chain = "DOCKER-USER" if run_program(program, "-w", "5", "-S", "DOCKER-USER")[0] == 0 else "FORWARD"
    for rule in _rules(bridge):
        if run_program(program, "-w", "5", "-C", chain, *rule)[0]:
            status, text = run_program(program, "-w", "5", "-I", chain, *rule)
            if status:
                return (f"{_PROGRAM} refused a rule for {bridge} in {chain}: {text.strip()}",)
    return ()


def remove_accepts(bridge: str) -> None:
    """Takes a bridge's rules away again; what is not there is no error."""
    program = _find() if _in_use() else ""
    if not program:
        return
    for chain in ("DOCKER-USER", "FORWARD"):
        for rule in _rules(bridge):
            while run_program(program, "-w", "5", "-D", chain, *rule)[0] == 0:
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


def _find() -> str:
    return find_program(_PROGRAM, _SEARCHED)

"""firewalld, which rejects what it does not know at the end of a chain that accepts.

It makes its table anew on every reload, and since 2.1 lets nobody else change it (nft's "owner" flag). So a rule
there would not last; what lasts is a bridge's membership in the zone `trusted`, in its running and in its permanent
configuration: what comes from the bridge is then accepted, as it is for dockerd's bridges. What goes into it firewalld
lets through for published ports and answers only, as ours does.
"""

import os

from runtime.network.firewall.programs import find_program, run_program

TABLE = "firewalld"
CHAIN = "filter_FORWARD"  # its last rule rejects
ZONES_CHAIN = "filter_FORWARD_ZONES"  # a rule for each interface that is in a zone
_PROGRAM = "firewall-cmd"
_ZONE = "--zone=trusted"
_BUS = "DBUS_SYSTEM_BUS_ADDRESS"  # where the system's bus is somewhere else


def trust(bridge: str) -> bool:
    """Let a bridge's packets through; whether firewalld agreed. Idempotent. Takes some 0.6 s. Raises OSError."""
    return all(_tell(*kind, _ZONE, f"--change-interface={bridge}") for kind in ((), ("--permanent",)))


def forget(bridge: str) -> None:
    """The inverse of `trust`; a bridge that firewalld knows nothing of is no error. Raises OSError."""
    for kind in ((), ("--permanent",)):
        _tell(*kind, _ZONE, f"--remove-interface={bridge}")


def _tell(*arguments: str) -> bool:
    program = find_program(_PROGRAM)
    if not program:
        return False
    environment = {_BUS: os.environ[_BUS]} if _BUS in os.environ else {}
    return run_program(program, "-q", *arguments, environment=environment)[0] == 0

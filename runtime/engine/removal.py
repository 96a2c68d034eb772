"""Removes a container that is not kept after its end, in the process that its shim has left behind for this."""

import sys

from runtime.cgroups.manager import open_cgroup
from runtime.engine.engine import Engine
from runtime.errors import EngineError, NotFoundError


def main() -> None:
    """Arguments: DATA, STATE, the container's id and its project. Another command may have removed it meanwhile."""
    data, state, container_id, project = sys.argv[1:5]
    try:
        # The shims' cgroup is to be empty when the last container has gone.
        open_cgroup("").join()
    except OSError:
        pass
    with Engine(data, state) as engine, engine.project_lock(project):
        try:
            engine.containers.remove(container_id, volumes=True)
        except NotFoundError:
            pass
        except EngineError as error:
            raise SystemExit(str(error)) from error

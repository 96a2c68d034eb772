"""What every command works with: the global options, the project, the engine. Light."""

import os
import sys
from typing import NamedTuple

from composer.errors import ComposeError
from composer.load.options import LoadOptions
from composer.output.errors import print_warning
from composer.output.terminal import Terminal
from composer.plan.desired import Desired
from runtime import Engine


class GlobalOptions(NamedTuple):
    """The options before the command's name."""

    file: tuple[str, ...] = ()
    project_name: str = ""
    project_directory: str = ""
    env_file: tuple[str, ...] = ()
    profile: tuple[str, ...] = ()
    ansi: str = "auto"
    parallel: int = 0
    dry_run: bool = False
    root: str = ""
    state: str = ""


class Context:
    """One command's surroundings. Use as a context manager: the engine is closed at the end."""

    def __init__(self, options: GlobalOptions) -> None:
        if options.ansi not in ("auto", "always", "never"):
            raise ComposeError(f"--ansi {options.ansi!r} is not one of auto, always, never")
        self.options = options
        self.out = Terminal(sys.stdout, options.ansi)
        self.err = Terminal(sys.stderr, options.ansi)
        self._engine: Engine | None = None
        self._stdin_text: str | None = None

    @property
    def engine(self) -> Engine:
        """The engine of the chosen root. Raises StateError where it cannot be used."""
        if self._engine is None:
            self._engine = Engine(self.options.root, self.options.state)
        return self._engine

    @property
    def parallel(self) -> int:
        """How many containers may be under way at once. Raises ComposeError for a number that cannot be."""
        text = str(self.options.parallel or os.environ.get("COMPOSE_PARALLEL_LIMIT", ""))
        if not text or text == "-1":
            from composer.execute.executor import DEFAULT_PARALLEL

            return DEFAULT_PARALLEL
        if not text.isdigit() or int(text) < 1:
            raise ComposeError(f"{text!r} is not a limit for parallel work", hint="use a number from 1 on")
        return int(text)

    def load_options(self, services: tuple[str, ...] = ()) -> LoadOptions:
        """What to load for this command line."""
        options = self.options
        if "-" in options.file and self._stdin_text is None:
            self._stdin_text = sys.stdin.read()
        return LoadOptions(
            cwd=os.getcwd(),
            environ=dict(os.environ),
            files=options.file,
            project_name=options.project_name,
            project_directory=options.project_directory,
            env_files=options.env_file,
            profiles=options.profile,
            services=services,
            stdin_text=self._stdin_text,
        )

    def desired(self, services: tuple[str, ...] = ()) -> Desired:
        """The project as the planner wants it; its warnings are printed. Raises LoadError.

        Naming a service activates its profiles. Where all `services` are active anyway the project is the same
        as without names, so that commands with and without names share one entry of the cache.
        """
        desired = self._load(())
        if not {service.name for service in desired.services}.issuperset(services):
            desired = self._load(services)
        for warning in desired.warnings:
            print_warning(self.err, warning)
        return desired

    def _load(self, services: tuple[str, ...]) -> Desired:
        from composer.cli.desired import load_desired

        return load_desired(self.load_options(services), self.engine.paths.cache)

    def close(self) -> None:
        if self._engine is not None:
            self._engine.close()
            self._engine = None

    def __enter__(self) -> "Context":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

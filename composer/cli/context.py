"""What every command works with: the global options, the project, the engine. Light."""

import os
import sys
from typing import TYPE_CHECKING, NamedTuple

from composer.cli.settings import Settings
from composer.errors import ComposeError, NoFileError
from composer.load.options import LoadOptions
from composer.output.errors import print_warning
from composer.output.terminal import Terminal
from composer.plan.desired import Desired, on_runtime
from runtime import Paths

if TYPE_CHECKING:
    from runtime import Engine


_MAX_STDIN = 32 * 2**20  # more than is accepted of a file


class GlobalOptions(NamedTuple):
    """The options before the command's name."""

    file: tuple[str, ...] = ()
    project_name: str = ""
    project_directory: str = ""
    env_file: tuple[str, ...] = ()
    profile: tuple[str, ...] = ()
    ansi: str = ""
    progress: str = ""
    parallel: int = 0
    compatibility: bool = False
    all_resources: bool = False
    dry_run: bool = False
    runtime: str = ""
    root: str = ""
    state: str = ""


def is_true(text: str) -> bool:
    """Whether a COMPOSE_ variable switches something on."""
    return text.lower() in ("1", "t", "true")


def _choice(name: str, given: str, set_by_variable: str, allowed: tuple[str, ...]) -> str:
    """An option's value, that of its variable, or the first of those allowed. Raises ComposeError."""
    variable = f"COMPOSE_{name.upper()}"
    value = given or set_by_variable or allowed[0]
    if value not in allowed:
        where = f"--{name}" if given else variable
        raise ComposeError(f"{where} {value!r} is not one of {', '.join(allowed)}")
    return value


class Context:
    """One command's surroundings. Use as a context manager: the engine is closed at the end."""

    def __init__(self, options: GlobalOptions) -> None:
        self.options = options
        self.settings = Settings(
            env_files=options.env_file, project_directory=options.project_directory, files=options.file
        )
        ansi = _choice("ansi", options.ansi, self.settings.get("COMPOSE_ANSI"), ("auto", "always", "never"))
        # As with the reference, the project's .env does not count for these two.
        progress = _choice(
            "progress",
            options.progress,
            os.environ.get("COMPOSE_PROGRESS", ""),
            ("auto", "tty", "plain", "json", "quiet"),
        )
        to_stdout = is_true(os.environ.get("COMPOSE_STATUS_STDOUT", ""))
        self.quiet = progress == "quiet"  # only failures are told
        self.out = Terminal(sys.stdout, ansi)
        self.err = Terminal(sys.stderr, ansi)
        self.status = Terminal(sys.stdout if to_stdout else sys.stderr, ansi, progress)
        self._engine: Engine | None = None
        self._stdin_text: str | None = None
        self._files: tuple[str, ...] | None = None

    @property
    def engine(self) -> "Engine":
        """The engine of the chosen root. Raises StateError where it cannot be used."""
        if self._engine is None:
            from runtime import Engine

            self._engine = Engine(self.options.root, self.options.state)
        return self._engine

    @property
    def compatibility(self) -> bool:
        """Whether names are joined with `_`, as Docker Compose 1 did (--compatibility, COMPOSE_COMPATIBILITY)."""
        return self.options.compatibility or is_true(self.settings.get("COMPOSE_COMPATIBILITY"))

    @property
    def ignores_orphans(self) -> bool:
        """Whether containers of services that the file does not have are left alone (COMPOSE_IGNORE_ORPHANS)."""
        return is_true(self.settings.get("COMPOSE_IGNORE_ORPHANS"))

    def removes_orphans(self, option: bool) -> bool:
        """Whether they are removed: --remove-orphans, COMPOSE_REMOVE_ORPHANS. Raises ComposeError."""
        if option and self.ignores_orphans:
            raise ComposeError("COMPOSE_IGNORE_ORPHANS and --remove-orphans exclude each other")
        return option or (not self.ignores_orphans and is_true(self.settings.get("COMPOSE_REMOVE_ORPHANS")))

    def only_tells(self, what: str) -> bool:
        """Under --dry-run, say what would be done: whoever has no Plan to show asks this before it changes anything."""
        if self.options.dry_run:
            self.out.line(what)
        return self.options.dry_run

    @property
    def cache_folder(self) -> str:
        """Where loaded projects are kept, without an engine; for other users than root their own cache."""
        root = self.options.root or os.environ.get("PYCOMPOSE_ROOT", "")
        if root or os.geteuid() == 0:
            return Paths(os.path.realpath(root)).cache if root else Paths().cache
        home = os.environ.get("HOME", "")
        own = os.environ.get("XDG_CACHE_HOME") or (f"{home}/.cache" if home else "")
        return f"{own}/pycompose" if own.startswith("/") else ""

    @property
    def parallel(self) -> int:
        """How many containers may be under way at once. Raises ComposeError for a number that cannot be."""
        text = str(self.options.parallel or self.settings.get("COMPOSE_PARALLEL_LIMIT"))
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
            self._stdin_text = _standard_input()
        return LoadOptions(
            cwd=_working_directory(),
            environ=dict(os.environ),
            files=self._local_files(),
            project_name=options.project_name,
            project_directory=options.project_directory,
            env_files=options.env_file,
            profiles=options.profile,
            services=services,
            stdin_text=self._stdin_text,
            all_resources=options.all_resources,
        )

    def _local_files(self) -> tuple[str, ...]:
        """The -f options, those from elsewhere brought here. Raises ComposeError, EngineError."""
        if self._files is None:
            named = self.options.file
            if any(file.startswith("oci://") or ".git" in file or "github.com/" in file for file in named):
                from composer.cli.remote import fetch_files, is_remote

                named = tuple(
                    path
                    for file in named
                    for path in (fetch_files(self.engine, file) if is_remote(file) else (file,))
                )
            self._files = named
        return self._files

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
        runtime = self.options.runtime or os.environ.get("PYCOMPOSE_RUNTIME", "")
        if runtime:
            desired = on_runtime(desired, runtime)
        return desired._replace(separator="_") if self.compatibility else desired

    def existing(self, services: tuple[str, ...] = ()) -> Desired:
        """The project for a command that acts on what exists: by its file, or where there is none, by its name.

        Raises LoadError, ComposeError.
        """
        try:
            return self.desired(services)
        except NoFileError:
            name = self.options.project_name or self.settings.get("COMPOSE_PROJECT_NAME")
            if not name:
                raise
            from composer.execute.recover import recover_desired

            return recover_desired(self.engine, name)

    def _load(self, services: tuple[str, ...]) -> Desired:
        from composer.cli.desired import load_desired

        return load_desired(self.load_options(services), self.engine.paths.cache)

    def confirm(self, question: str) -> bool:
        """Ask on stderr; False unless the answer is yes. With --dry-run nothing is at stake, so nothing is asked."""
        if self.options.dry_run:
            return True
        self.err.stream.write(question)
        self.err.stream.flush()
        return sys.stdin.readline().strip().lower() in ("y", "yes")

    def close(self) -> None:
        if self._engine is not None:
            self._engine.close()
            self._engine = None

    def __enter__(self) -> "Context":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _standard_input() -> str:
    try:
        return sys.stdin.buffer.read(_MAX_STDIN).decode("utf-8")
    except UnicodeDecodeError as error:
        raise ComposeError(
            f"standard input is not UTF-8 text: {error.reason} at byte {error.start}"
        ) from None


def _working_directory() -> str:
    """As the shell names it, so that a project below a symbolic link is called after the link."""
    named = os.environ.get("PWD", "")
    try:
        if named.startswith("/") and os.path.samefile(named, "."):
            return named
    except OSError:
        pass
    return os.getcwd()

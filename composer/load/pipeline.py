"""The stages of a load in their order, nothing else (DESIGN 3.11).

discover -> per file: interpolate, include, extends, merge, schema, canonical, unique
         -> defaults, checks, paths -> numbers -> normalise -> select -> consistency -> env files -> Project
"""

from collections.abc import Mapping
from typing import Any

from composer.errors import Origin, SelectionError
from composer.load.advice import advise, advise_sizes
from composer.load.check import check_consistency, check_values
from composer.load.discovery import Inputs, discover, project_name
from composer.load.emit import emit, raw_tree
from composer.load.environment import apply_files
from composer.load.kinds import parse_kinds
from composer.load.mistakes import Mistakes
from composer.load.normalize import normalize, set_defaults
from composer.load.options import LoadOptions
from composer.load.origins import Document, Report
from composer.load.quick_check import compile_check
from composer.load.resolve import resolve_environment, resolve_paths
from composer.load.result import LoadResult, Selected, Sources
from composer.load.scope import Scope, Shared
from composer.load.select import active_services, with_dependencies
from composer.load.source import STDIN, Source
from composer.load.support import unsupported
from composer.load.template import TemplateError, substitute
from schemas import compose_schema

_FALLBACK_NAME = "project"  # while a wrong name is told with the other problems


def load_project(options: LoadOptions) -> LoadResult:
    """From files and environment to a Project. Raises LoadError with all problems found, SelectionError."""
    source = Source(options)
    mistakes = Mistakes(source)
    with mistakes.collecting():
        result = _load(options, source, mistakes)
    mistakes.stop()
    return result


def _load(options: LoadOptions, source: Source, mistakes: Mistakes) -> LoadResult:
    inputs = discover(options, source)
    schema = compose_schema()
    shared = Shared(
        source,
        schema,
        compile_check(schema),
        source.variable("HOME") or "/",
        options.interpolate,
        options.resolve_paths,
        unset={},
        scopes=[],
        extenders={},
        cycles=set(),
        mistakes=mistakes,
    )
    scope = Scope(shared, inputs.working_dir, inputs.variables)
    parsed: dict[str, list[Document]] = {}
    for path in dict.fromkeys(inputs.files):
        parsed[path] = []
        with mistakes.collecting(()):
            parsed[path] = scope.parse(path)
    name = _FALLBACK_NAME
    with mistakes.collecting():
        name = project_name(options, inputs, _declared_name(options, inputs, parsed))
    inputs.variables.fix("COMPOSE_PROJECT_NAME", name)
    document = scope.load(inputs.files, parsed)
    document.value["name"] = name
    document.value.setdefault("services", {})
    set_defaults(document.value)
    if options.interpolate:
        report = Report()
        check_values(document.value, document.marks, report)
        mistakes.note(report)
    if options.resolve_paths:
        resolve_paths(document.value, inputs.working_dir, shared.home)
    if not options.interpolate:
        mistakes.stop()
        return _uninterpolated(options, inputs, document, scope)
    return _finish(options, inputs, document, scope)


def _finish(options: LoadOptions, inputs: Inputs, document: Document, scope: Scope) -> LoadResult:
    mistakes, source = scope.shared.mistakes, scope.shared.source
    report = Report()
    typed = scope.mend(document._replace(value=parse_kinds(document, report)), report)
    tree, marks = typed.value, typed.marks
    if options.resolve_env:
        resolve_environment(tree, inputs.variables.get)
    if options.normalize:
        _drop_unset_arguments(tree)
        normalize(tree, marks)
    active = _active(options, inputs, tree, mistakes)
    if options.consistency:
        report = Report()
        check_consistency(tree, active, marks, report, mistakes)
        mistakes.note(report)
    for name in active:
        own = marks.child("services").child(name)
        apply_files(name, tree["services"][name], own, mistakes, source, inputs.variables)
    mistakes.stop()
    warnings = [
        *_unset_warnings(scope),
        *advise(tree, active, marks),
        *advise_sizes(document.value, active, marks),
        *unsupported(document.value, active, marks),
    ]
    shown = with_dependencies(tree["services"], options.services) if options.services else active
    printed = emit(
        tree,
        [name for name in shown if name in active],
        double_dollars=True,
        all_resources=options.all_resources,
    )
    selected = Selected(active, inputs.working_dir, _config_files(inputs))
    sources = _sources(inputs, source)
    return LoadResult(printed, tree, marks, selected, sources, warnings, all_resources=options.all_resources)


def _active(
    options: LoadOptions, inputs: Inputs, tree: Mapping[str, Any], mistakes: Mistakes
) -> tuple[str, ...]:
    try:
        return active_services(tree["services"], inputs.profiles, options.services)
    except SelectionError:
        mistakes.stop()  # the service may be among what is wrong
        raise


def _uninterpolated(options: LoadOptions, inputs: Inputs, document: Document, scope: Scope) -> LoadResult:
    """For `config --no-interpolate`: a tree to print; no service is active, as its values are unknown."""
    tree = document.value
    if options.normalize:
        _drop_unset_arguments(tree)
        normalize(tree, document.marks)
    selected = Selected((), inputs.working_dir, _config_files(inputs))
    sources = _sources(inputs, scope.shared.source)
    return LoadResult(raw_tree(tree), tree, document.marks, selected, sources, ())


def _sources(inputs: Inputs, source: Source) -> Sources:
    return Sources(
        tuple(sorted(source.inputs.items())),
        tuple(sorted(source.consulted)),
        inputs.variables.all(),
        source.texts,
        tuple(dict.fromkeys(source.compose_files)),
        tuple(source.service_files),
    )


def _config_files(inputs: Inputs) -> tuple[str, ...]:
    return tuple(path for path in inputs.files if path != STDIN)


def _declared_name(options: LoadOptions, inputs: Inputs, parsed: Mapping[str, list[Document]]) -> str | None:
    """`name:` of the last file that has one, interpolated."""
    declared: str | None = None
    for documents in parsed.values():
        for document in documents:
            value = document.value.get("name") if isinstance(document.value, dict) else None
            if isinstance(value, str) and value:
                declared = value
    if declared is None or not options.interpolate:
        return declared
    try:
        return substitute(declared, inputs.variables.get, lambda name: None)
    except TemplateError:
        return None  # told with the file's other problems


def _unset_warnings(scope: Scope) -> list[str]:
    return [
        f"warning: {_place(origin)}the variable {name} is not set, a blank string takes its place"
        for name, origin in scope.shared.unset.items()
    ]


def _place(origin: Origin | None) -> str:
    return f"{origin}: " if origin else ""


def _drop_unset_arguments(tree: Mapping[str, Any]) -> None:
    """Build arguments without a value are left to the build file's own default."""
    for service in tree["services"].values():
        build = service.get("build")
        arguments = build.get("args") if isinstance(build, dict) else None
        if isinstance(arguments, list):  # only where variables are left in
            build["args"] = [item for item in arguments if "=" in item]
        elif arguments:
            build["args"] = {key: value for key, value in arguments.items() if value is not None}

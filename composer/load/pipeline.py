"""The stages of a load in their order, nothing else (DESIGN 3.11).

discover -> per file: interpolate, include, extends, merge, schema, canonical, unique
         -> defaults, checks, paths -> numbers -> normalise -> select -> consistency -> env files -> Project
"""

from collections.abc import Mapping
from typing import Any

from composer.errors import Origin
from composer.load.advice import advise, advise_sizes
from composer.load.check import check_consistency, check_values
from composer.load.discovery import Inputs, discover, project_name
from composer.load.emit import emit, raw_tree
from composer.load.environment import apply_files
from composer.load.kinds import parse_kinds
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


def load_project(options: LoadOptions) -> LoadResult:
    """From files and environment to a Project. Raises LoadError with all problems found, SelectionError."""
    source = Source(options)
    inputs = discover(options, source)
    schema = compose_schema()
    shared = Shared(
        source,
        schema,
        compile_check(schema),
        source.variable("HOME") or "/",
        options.interpolate,
        options.resolve_paths,
        {},
        [],
        {},
    )
    scope = Scope(shared, inputs.working_dir, inputs.variables)
    parsed = {path: scope.parse(path) for path in dict.fromkeys(inputs.files)}
    name = project_name(options, inputs, _declared_name(options, inputs, parsed))
    inputs.variables.fix("COMPOSE_PROJECT_NAME", name)
    document = scope.load(inputs.files, parsed)
    document.value["name"] = name
    document.value.setdefault("services", {})
    report = Report()
    set_defaults(document.value)
    if options.interpolate:
        check_values(document.value, document.marks, report)
    scope.stop(report)
    if options.resolve_paths:
        resolve_paths(document.value, inputs.working_dir, shared.home)
    if not options.interpolate:
        return _uninterpolated(options, inputs, document, scope)
    return _finish(options, inputs, document, scope)


def _finish(options: LoadOptions, inputs: Inputs, document: Document, scope: Scope) -> LoadResult:
    report = Report()
    marks = document.marks
    tree = parse_kinds(document, report)
    scope.stop(report)
    if options.resolve_env:
        resolve_environment(tree, inputs.variables.get)
    if options.normalize:
        _drop_unset_arguments(tree)
        normalize(tree, marks)
    active = active_services(tree["services"], inputs.profiles, options.services)
    if options.consistency:
        check_consistency(tree, active, marks, report)
        scope.stop(report)
    source = scope.shared.source
    warnings = [
        *_unset_warnings(scope),
        *advise(tree, active, marks),
        *advise_sizes(document.value, active, marks),
        *unsupported(document.value, active, marks),
    ]
    for name in active:
        apply_files(tree["services"][name], marks.child("services").child(name), source, inputs.variables)
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

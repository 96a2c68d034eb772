"""Replaces variables in every value of a tree and converts text where a number or truth value is due. Pure."""

from typing import Any

from composer.load.casts import CASTS
from composer.load.origins import Marks, Path, Report
from composer.load.template import Lookup, TemplateError, substitute


class Interpolator:
    """Walks one file's tree; remembers, per variable, where it was first used without a value."""

    def __init__(self, lookup: Lookup, marks: Marks, report: Report) -> None:
        self._lookup = lookup
        self._marks = marks
        self._report = report
        self.unset: dict[str, Path] = {}

    def apply(self, value: Any, path: Path = ()) -> Any:
        """A new tree; problems go to the report and leave the value as it was."""
        if isinstance(value, dict):
            return {key: self.apply(item, (*path, key)) for key, item in value.items()}
        if isinstance(value, list):
            return [self.apply(item, (*path, index)) for index, item in enumerate(value)]
        return self._text(value, path) if isinstance(value, str) else value

    def _text(self, text: str, path: Path) -> Any:
        if "$" in text:
            try:
                text = substitute(text, self._lookup, lambda name: self._note(name, path))
            except TemplateError as error:
                hint = "write $$ for a dollar sign" if not error.variable else ""
                if error.variable and "required" in str(error):
                    hint = f"set {error.variable} in the environment or in .env"
                self._report.add(str(error), path, self._marks, hint)
                return text
        cast = CASTS.find(path)
        if cast is None:
            return text
        try:
            return cast(text)
        except ValueError as error:
            self._report.add(str(error), path, self._marks)
            return text

    def _note(self, name: str, path: Path) -> None:
        self.unset.setdefault(name, path)

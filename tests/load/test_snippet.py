"""The offending line as it is shown."""

from pathlib import Path

import pytest

from composer.errors import LoadError
from composer.load.options import LoadOptions
from composer.load.pipeline import load_project


def test_a_long_line_is_cut_around_the_caret(tmp_path: Path) -> None:
    items = ", ".join(f"A{number}: x" for number in range(3000))
    (tmp_path / "compose.yaml").write_text(
        f"services: {{a: {{image: b, environment: {{{items}}}, comand: c}}}}\n"
    )
    with pytest.raises(LoadError) as caught:
        load_project(LoadOptions(str(tmp_path), {}))
    line, caret = caught.value.problems[0].snippet.split("\n")
    assert len(line) < 110
    assert line[caret.index("^") :].startswith("comand")

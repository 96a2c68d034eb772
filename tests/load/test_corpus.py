"""The corpus with the reference's answers: $COMPOSE_CORPUS, else ../shared/corpus beside the repository."""

import multiprocessing
import os
from pathlib import Path

import pytest

from tests.load.corpus import run_case

REPOSITORY = Path(__file__).resolve().parents[2]
_MOST_SECONDS = 300
CORPUS = Path(os.environ.get("COMPOSE_CORPUS") or REPOSITORY.parent / "shared/corpus")


@pytest.mark.skipif(not CORPUS.is_dir(), reason="no corpus: COMPOSE_CORPUS names none, ../shared has none")
def test_every_case_is_answered_as_by_the_reference() -> None:
    # Imported once here, so that the children that run the cases find it done.
    import composer.cli.config_render
    import composer.load.schema  # noqa: F401

    folders = sorted(path.parent for path in CORPUS.glob("*/case.json"))
    assert folders, f"{CORPUS} has no cases"
    with multiprocessing.get_context("fork").Pool(2) as pool:
        answers = pool.map_async(run_case, folders, chunksize=8).get(_MOST_SECONDS)
    wrong = [f"{folder.name}: {text}" for folder, text in zip(folders, answers, strict=True) if text]
    assert not wrong, f"{len(wrong)} of {len(folders)} cases differ:\n" + "\n".join(wrong)

#!/usr/bin/env python3
"""Coverage-guided fuzzing of loading, for as long as you like.

    .venv/bin/pip install atheris                      # wheels exist for CPython up to 3.11 on x86-64; else needs clang
    .venv/bin/python -m tests.fuzz.atheris_load -max_total_time=3600 CORPUS_FOLDER

The input is a Compose file, up to the byte 0xFF an override file and then a .env. Anything but a deliberate error is a
crash; libFuzzer writes the input to `crash-…`. Good seeds: tests/fuzz/everything.yaml and the files of a corpus.
"""

import sys

import atheris

with atheris.instrument_imports(include=["composer"]):
    from tests.fuzz.target import load_files

_NAMES = ("compose.yaml", "compose.override.yaml", ".env")


def one_input(data: bytes) -> None:
    """Load what one input holds."""
    load_files(dict(zip(_NAMES, data.split(b"\xff", 2), strict=False)))


if __name__ == "__main__":
    atheris.Setup(sys.argv, one_input)
    atheris.Fuzz()

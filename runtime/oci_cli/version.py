"""The version of this package, from its installed metadata."""


def version() -> str:
    """Such as "0.1.0"; "unknown" when run from a folder that was never installed."""
    from importlib.metadata import PackageNotFoundError
    from importlib.metadata import version as installed

    try:
        return installed("pycompose")
    except PackageNotFoundError:
        return "unknown"

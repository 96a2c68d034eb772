"""What can be wrong in a template."""


class TemplateError(ValueError):
    """A template that cannot be read or filled in. `offset` is where in its text, -1 if nowhere in particular."""

    def __init__(self, message: str, offset: int = -1) -> None:
        super().__init__(message)
        self.message = message
        self.offset = offset

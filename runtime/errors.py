"""Every error the runtime raises on purpose.

EngineError                     a message, the object it is about, and what to do
├── NotFoundError               an image, container, network, volume or file is not there
├── ConflictError               a name, port or address is taken, or an object is in use
├── InvalidError                a request that can never work (bad name, bad option)
├── UnsupportedError            the kernel or this version cannot do it; names what is missing
├── StartError                  a container's program could not be started; carries the failed step
├── ImageError                  an image or archive is damaged or not what it claims to be
└── StateError                  the store is damaged, too new, or held by somebody else
"""


class EngineError(Exception):
    """Base of all deliberate errors of this package.

    `message` says what happened to which object, `hint` how to go on (empty if there is nothing to say). `origin` is
    where the user has asked for it, set by who knows the place.
    """

    origin = ""

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class NotFoundError(EngineError):
    """An image, container, network, volume or file is not there."""


class ConflictError(EngineError):
    """A name, port or address is taken, or an object is still in use."""


class InvalidError(EngineError):
    """A request that can never work as it stands."""


class UnsupportedError(EngineError):
    """The kernel, its configuration or this version cannot do what was asked."""


class StartError(EngineError):
    """A container's program could not be started.

    `step` is the set-up step that failed (for example "mount /proc" or "exec"), `errno` its number or 0.
    """

    def __init__(self, message: str, *, step: str = "", errno: int = 0, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.step = step
        self.errno = errno


class ImageError(EngineError):
    """An image or archive is damaged or not what it claims to be."""


class StateError(EngineError):
    """The store is damaged, written by a newer version, or held by another process."""

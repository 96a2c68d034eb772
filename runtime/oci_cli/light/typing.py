"""Stands in for typing: names that mean nothing while a program runs, and NamedTuple."""

from _collections import _tuplegetter  # what collections.namedtuple makes its fields of

from borrow import lender

TYPE_CHECKING = False
Any = NoReturn = object


def cast(_kind, value):
    """The value as it is."""
    return value


class _NamedTupleType(type):
    def __new__(kind, name, bases, namespace):
        """A subclass of tuple with the annotated names as its fields."""
        fields = tuple(namespace.get("__annotations__", ()))
        defaults = {field: namespace.pop(field) for field in fields if field in namespace}
        for number, field in enumerate(fields):
            namespace[field] = _tuplegetter(number, f"Alias for field number {number}")
        namespace |= {
            "__slots__": (),
            "_fields": fields,
            "_field_defaults": defaults,
            "__match_args__": fields,
        }
        return type(name, (_Fields,), namespace)


class _Fields(tuple):
    __slots__ = ()
    _fields = ()
    _field_defaults = {}  # noqa: RUF012

    def __new__(cls, *values, **named):
        if named or len(values) != len(cls._fields):
            rest = cls._fields[len(values) :]
            known = {**cls._field_defaults, **named}
            if not named.keys() <= {*rest} or not known.keys() >= {*rest} or len(values) > len(cls._fields):
                raise TypeError(f"{cls.__name__} has the fields {', '.join(cls._fields)}")
            values += tuple(known[field] for field in rest)
        return tuple.__new__(cls, values)

    @classmethod
    def _make(cls, values):
        return cls(*values)

    def _replace(self, **changes):
        return type(self)(**{**self._asdict(), **changes})

    def _asdict(self):
        return dict(zip(self._fields, self, strict=True))

    def __repr__(self):
        return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in self._asdict().items())})"

    def __getnewargs__(self):
        return tuple(self)


NamedTuple = type.__new__(_NamedTupleType, "NamedTuple", (), {})

__getattr__ = lender("typing")

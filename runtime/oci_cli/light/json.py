"""Stands in for json: its C scanner and encoder, without the regular expressions around them."""

import _json

from borrow import lender, proper


class _Context:
    """What the scanner asks of a decoder."""

    strict = True
    object_hook = object_pairs_hook = None
    parse_float, parse_int, parse_constant = float, int, float
    memo = {}  # noqa: RUF012


_scan = _json.make_scanner(_Context)
_encode = _json.make_encoder(None, None, _json.encode_basestring_ascii, None, ": ", ", ", False, False, True)
_BLANK = " \t\n\r"
_INDENT = 2  # spaces; that of all documents a call prints


def loads(text):
    """A document's value. What this does not understand, the module proper decides."""
    try:
        words = text if isinstance(text, str) else text.decode()
        start = len(words) - len(words.lstrip(_BLANK))
        value, end = _scan(words, start)
        if not words[end:].strip(_BLANK):
            return value
    except (StopIteration, ImportError, ValueError):  # the C code looks for json.decoder to say what is wrong
        pass
    return proper("json").loads(text)


def dumps(value, **how):
    """A document. What holds other types, or is to be written in a way no call asks for, goes to the module proper."""
    try:
        if not how:
            return "".join(_encode(value, 0))
        if how == {"indent": _INDENT}:
            return _lay_out(value, "\n")
    except (TypeError, ValueError):
        pass
    return proper("json").dumps(value, **how)


def _lay_out(value, margin):
    inner = margin + " " * _INDENT
    if value and isinstance(value, dict) and all(isinstance(key, str) for key in value):
        entries = (f"{dumps(key)}: {_lay_out(item, inner)}" for key, item in value.items())
        return f"{{{inner}{f',{inner}'.join(entries)}{margin}}}"
    if value and isinstance(value, list | tuple):
        return f"[{inner}{f',{inner}'.join(_lay_out(item, inner) for item in value)}{margin}]"
    return dumps(value)


__getattr__ = lender("json")

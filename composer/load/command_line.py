"""A command given as one line, as words: the reference's rules, which are nearly a shell's. Pure.

A backslash takes the next character as it is (not in single quotes); there is no shell, so an operator such as `&&`
ends the command, and `left_out` lets the caller say so.
"""

_MAX_LENGTH = 2 * 2**20  # execve(2) takes no more
_OPERATORS = ";&|<>"


def split_command(line: str) -> list[str]:
    """The words of a line. Raises ValueError for a quote, bracket or backslash without its end."""
    words, _ = _split(line)
    return words


def left_out(line: str) -> str:
    """What follows the first shell operator outside quotes, operator included; "" if there is none."""
    try:
        return line[_split(line)[1] :]
    except ValueError:
        return ""


def _split(line: str) -> tuple[list[str], int]:
    if len(line) > _MAX_LENGTH:
        raise ValueError(f"the command line has more than {_MAX_LENGTH} characters")
    words: list[str] = []
    word: list[str] | None = None
    state = ""  # the quote that is open: ' " ` or $ for $(…)
    position = 0
    while position < len(line):
        character = line[position]
        following = line[position + 1 : position + 2]
        step = 1
        if character == "\\" and state != "'":
            if not following:
                raise _open(line)
            word, step = word or [], 2
            word.append(following)
        elif character.isspace() and not state:
            if word is not None:
                words.append("".join(word))
            word = None
        elif character in "'\"" and state in ("", character):
            state, word = "" if state else character, word or []
        elif not state and character in _OPERATORS:
            break
        else:
            word = word or []
            state = _bracket(character, state, word[-1] if word else "", line)
            word.append(character)
        position += step
    if state:
        raise _open(line)
    return (words if word is None else [*words, "".join(word)]), position


def _bracket(character: str, state: str, before: str, line: str) -> str:
    """The state after a character that is part of a word: backquotes and $(…) hold spaces together."""
    if character == "`" and state in ("", "`"):
        return "" if state else "`"
    if state in ("", "$"):
        if character == "(" and (state or before != "$"):
            raise ValueError(f"the command line {line!r} has a bracket that needs quotes")
        if character == "(":
            return "$"
        if character == ")":
            return "" if state else "$"
    return state


def _open(line: str) -> ValueError:
    return ValueError(f"the command line {line!r} has a quote, bracket or backslash without an end")

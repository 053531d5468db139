"""Text from records made safe to show anywhere."""

from __future__ import annotations

import unicodedata

_INVISIBLE = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}


def escape_control(text: str) -> str:
    """The text on one line, with every character that is not printable replaced by its code point.

    That concerns Unicode's categories C (controls with ANSI's escape, formats with changes of direction, surrogates) and the
    line and paragraph separators.
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(_code_point(char) if unicodedata.category(char) in _INVISIBLE else char for char in text)


def _code_point(char: str) -> str:
    code = ord(char)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def escape_lines(text: str) -> str:
    """The same for a text of several lines, whose line ends stay."""
    return text if text.isascii() and text.replace("\n", "").isprintable() else "\n".join(map(escape_control, text.split("\n")))

"""Text from records -> text that can be shown anywhere."""

from __future__ import annotations

import unicodedata

_UNSEEN = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}


def escape_control(text: str) -> str:
    """Text on one line that moves no cursor and turns no direction: what is not printable is shown by its code point.

    That is every character of Unicode's categories C (controls, ANSI's escape among them, formats, surrogates) and the
    line and paragraph separators.
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(_code(char) if unicodedata.category(char) in _UNSEEN else char for char in text)


def _code(char: str) -> str:
    code = ord(char)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"

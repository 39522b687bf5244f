"""The one place where hostile text (of a manifest, decision, path, server) is made harmless to a terminal."""

from __future__ import annotations

import unicodedata

from placet.core.guards import guard

_HIDDEN = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})


@guard(32)
def clean(text: str) -> str:
    r"""A text without anything that steers a terminal or hides from its reader; lines stay lines.

    Escape sequences, other control characters, overrides of the writing direction, zero-width and unassigned
    characters and lone surrogates are written as escapes: `\x1b`, `\u202e`.
    """
    if text.isascii() and (text.isprintable() or text.replace("\n", "").isprintable()):
        return text
    return "".join(
        char if char == "\n" or unicodedata.category(char) not in _HIDDEN else _escape(char) for char in text
    )


def _escape(char: str) -> str:
    code = ord(char)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"  # noqa: PLR2004

"""Foreign text on a forge's pages: whatever it holds, it is shown, and does nothing.

A forge makes links of addresses, numbers and commits, tells people who are mentioned, and lets HTML pass.
None of that happens within code, so that is where every foreign text goes; what is no plain letter is seen.
"""

from __future__ import annotations

import re
import unicodedata

from placet.core.guards import guard

_HIDDEN = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
_PLAIN = re.compile(r"[A-Za-z](?:[A-Za-z0-9 ,.;()'-]|: )*")
_LINKED = re.compile(r"(?i)www\.|\b[a-z]+-[0-9]|[0-9a-f]{7}")
_URL = re.compile(r"https?://[A-Za-z0-9.-]+(:[0-9]+)?(/[A-Za-z0-9._~:/?#!$&+,;=%-]*)?")
_TITLE = frozenset("LNM")
_SENTENCE = 1000


def visible(text: str) -> str:
    """The same text, with everything written out that a reader would not see, or that turns a line around."""
    return "".join(f"\\u{ord(one):04x}" if unicodedata.category(one) in _HIDDEN else one for one in text)


def bounded(text: str, limit: int) -> str:
    """At most so many characters, and how many there were."""
    return text if len(text) <= limit else f"{text[:limit]}... ({len(text)} characters)"


@guard(29, 32)
def code(text: str, limit: int = 300) -> str:
    """A foreign text as code within a line."""
    shown = bounded(visible(text), limit)
    fence = "`" * (_longest(shown) + 1)
    return f"{fence} {shown} {fence}" if shown.strip(" ") else "` `"


@guard(29, 32)
def block(text: str, limit: int) -> str:
    """A foreign text of some lines as a block of code."""
    shown = bounded("\n".join(map(visible, text.splitlines())), limit)
    fence = "`" * max(3, _longest(shown) + 1)
    return f"{fence}text\n{shown}\n{fence}"


def words(text: str) -> str:
    """A sentence of Placet's own as it is; as code, if anything in it could be more than words."""
    plain = len(text) <= _SENTENCE and _PLAIN.fullmatch(text) and not _LINKED.search(text)
    return text if plain else code(text, _SENTENCE)


@guard(32)
def link(url: str) -> str:
    """A web address that shows where it leads; as code, if anything in it could be more than that."""
    return f"<{url}>" if _URL.fullmatch(url) and len(url) <= 500 else code(url)  # noqa: PLR2004


@guard(29, 32)
def title(text: str, limit: int = 80) -> str:
    """The first line that says something, where no code can stand: letters, numbers, few signs."""
    short = next((kept for line in text.splitlines()[:100] if (kept := _plain(line))), "")
    return short if len(short) <= limit else f"{short[:limit].rstrip()}..."


def _plain(line: str) -> str:
    kept = "".join(
        one if unicodedata.category(one)[0] in _TITLE or one in ",.-" else " " for one in line[:500]
    )
    return " ".join(re.sub(r"-(?=[0-9])", " ", kept).split())


def _longest(text: str) -> int:
    return max((len(run) for run in re.findall("`+", text)), default=0)

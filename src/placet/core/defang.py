"""Texts of others made harmless for any place that shows messages: chats, mail, tickets.

Nobody can know how a service renders what it is sent: as text, HTML, or one of many kinds of Markdown. So
what means something in one of them is replaced by a character that looks alike and means nothing in any.
"""

from __future__ import annotations

import re
import unicodedata

_UNSEEN = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
_ALIKE = str.maketrans(
    {
        "<": "\N{SINGLE LEFT-POINTING ANGLE QUOTATION MARK}",
        ">": "\N{SINGLE RIGHT-POINTING ANGLE QUOTATION MARK}",
        "&": "\N{FULLWIDTH AMPERSAND}",
        "@": "\N{FULLWIDTH COMMERCIAL AT}",
        "#": "\N{FULLWIDTH NUMBER SIGN}",
        "!": "\N{FULLWIDTH EXCLAMATION MARK}",
        "[": "(",
        "]": ")",
        "`": "'",
        "|": "\N{BROKEN BAR}",
        "*": "\N{ASTERISK OPERATOR}",
        "~": "\N{TILDE OPERATOR}",
        "\\": "\N{FULLWIDTH REVERSE SOLIDUS}",
        ":": "\N{RATIO}",
    }
)
_ENDINGS = (
    "arrow bz2 cbor csv dat db dvc feather fits gif gz h5 hdf5 jpeg jpg json jsonl log nc npy npz onnx orc"
    " parquet pdf pickle pkl png pt pth rds safetensors sav sqlite svg tar tif tiff toml tsv txt xlsx xml xz"
    " yaml yml zst"
)
_ENDING = re.compile(rf"(?i)(?:\.(?:{_ENDINGS.replace(' ', '|')}))+\.*\Z")
_DOTTED = re.compile(r"[\w.-]*\.[\w.-]*")
_HOST = re.compile(r"(?<=[\w-])\.(?=[^\W\d])|(?<=[^\W\d])\.(?=[\w-])|(?<=-)\.|\.(?=-)")


def defang(text: str, limit: int = 200) -> str:
    """One line of a foreign text: no markup, mention, link or invisible character is left in it.

    A dot that could belong to the name of a host is replaced too; those before the usual endings of files of
    data, and within numbers, stay.

    Args:
        text: Whatever it is.
        limit: Characters at most; what is longer ends in an ellipsis.
    """
    line = " ".join("".join(" " if char.isspace() else char for char in text).split())
    seen = "".join(char for char in line if unicodedata.category(char) not in _UNSEEN)
    short = seen if len(seen) <= limit else f"{seen[: limit - 1]}\N{HORIZONTAL ELLIPSIS}"
    return _DOTTED.sub(_no_host, short.translate(_ALIKE))


def _no_host(found: re.Match[str]) -> str:
    name = _ENDING.sub("", found[0])
    return _HOST.sub("\N{ONE DOT LEADER}", name) + found[0][len(name) :]

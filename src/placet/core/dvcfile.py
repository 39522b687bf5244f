"""DVC's metafiles as values, to the byte what DVC 3 writes (facts: design 6.1, 8).

Two readers, on purpose: `parse_canonical` is strict, because what it reads may come from the Ctrl repository
and is hostile; `read_metafile` takes all that DVC takes, for the workspace.
"""

from __future__ import annotations

import io
import re
from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

from placet.core import layout, limits
from placet.core.metayaml import BAD_YAML, invalid, load_yaml, mapping, sequence
from placet.errors import Invalid

_T = TypeVar("_T")

Origin = Literal["", "url", "versioned", "repo", "db"]

MAX_METAFILE = limits.METAFILE_BYTES
LEGACY = "md5-dos2unix"

_MD5 = re.compile(r"[0-9a-f]{32}")
_NOT_A_NUMBER = re.compile(r"[0-9a-f]*[acdf][0-9a-f]*")
_PLAIN = re.compile(
    r"[A-Za-z_][A-Za-z0-9_./-]*[./_-][A-Za-z0-9_./-]*"
    r"|(?!(?i:true|false|yes|no|on|off|null|y|n|nan|inf)$)[A-Za-z][A-Za-z0-9]*"
)
_FORM = re.compile(
    r"outs:\n- md5: (?P<q>'?)(?P<md5>[0-9a-f]{32})(?P<dir>\.dir)?(?P=q)\n"
    r"  size: (?P<size>0|[1-9][0-9]{0,17})\n(?:  nfiles: (?P<nfiles>0|[1-9][0-9]{0,11})\n)?"
    r"  hash: md5\n  path: (?P<path>.+)\n",
    re.DOTALL,
)
_DOUBLE_QUOTED = re.compile(r'"(?:[^"\\]|\\.)*"', re.DOTALL)
_FLAGS = ("metric", "plot", "persist", "remote")
_CLOUD = ("cloud", "version_id", "files")
_ANNOTATIONS = ("desc", "type", "labels", "meta")
_STAGE_KEYS = frozenset(
    {"md5", "wdir", "deps", "outs", "locked", "frozen", "meta", "always_changed", "desc"}
)  # dvc/schema.py
_CANONICAL_KEYS = frozenset({"md5", "size", "nfiles", "isexec", "hash", "path"})
_OUT_KEYS = frozenset(
    {
        "md5",
        "checksum",
        "etag",
        "size",
        "nfiles",
        "isexec",
        "version_id",
        "path",
        "persist",
        "cloud",
        "hash",
        "cache",
        "remote",
        "push",
        "files",
        "fs_config",
        *_ANNOTATIONS,
    }
)  # fmt: skip - dvc/output.py


@dataclass(frozen=True, slots=True)
class Output:
    """One output of a metafile.

    Attributes:
        path: As the file writes it: relative to the metafile's folder (or its `wdir`), posix.
        md5: 32 hex digits without `.dir`; empty where the file gives none (partial import, legacy etag).
        size: Bytes, or None if the file does not say.
        nfiles: Number of files of a directory, None for a file (or if the file does not say).
        is_dir: A directory with a `.dir` object.
        isexec: A file with its owner's execute bit.
        hash: `md5`; `md5-dos2unix` where the file has no `hash` key (DVC 2.x).
        remote: The only remote this output goes to.
        cache: False: kept in Git, not in the cache.
        push: False: never pushed.
        persist: Not removed before a stage runs.
        cloud: The file says by which versions of their own a version-aware remote keeps it.
    """

    path: str
    md5: str
    size: int | None
    nfiles: int | None = None
    is_dir: bool = False
    isexec: bool = False
    hash: str = "md5"
    remote: str | None = None
    cache: bool = True
    push: bool = True
    persist: bool = False
    cloud: bool = False

    @property
    def key(self) -> str:
        """Where the output's object is in a cache or remote."""
        return self.key_of(self.md5, is_dir=self.is_dir)

    def key_of(self, md5: str, *, is_dir: bool = False) -> str:
        """Where an object of the output is: DVC 3 and DVC 2 have a place each."""
        return layout.legacy_key(md5, is_dir=is_dir) if self.legacy else layout.data_key(md5, is_dir=is_dir)

    @property
    def legacy(self) -> bool:
        """Written by DVC 2.x: its hash is not the MD5 of the bytes, but of text with LF for CRLF."""
        return self.hash == LEGACY

    @property
    def hashed(self) -> bool:
        """Does it have a hash by which DVC 3 or DVC 2 keeps objects?"""
        return self.hash in {"md5", LEGACY} and _MD5.fullmatch(self.md5) is not None


@dataclass(frozen=True, slots=True)
class Metafile:
    """A `.dvc` file as DVC would read it.

    Attributes:
        outs: Its outputs.
        wdir: What their paths are relative to, itself relative to the file's folder.
        frozen: Its dependencies are not looked at.
        has_deps: It has dependencies.
        origin: Of an import: an URL, an URL with versions of its own (`versioned`), another repository
            (`repo`), a database (`db`). Empty for all else.
    """

    outs: tuple[Output, ...]
    wdir: str = "."
    frozen: bool = False
    has_deps: bool = False
    origin: Origin = ""


def encode_metafile(out: Output) -> bytes:
    """The canonical metafile of the Ctrl repository: one out; md5, size, nfiles, hash, path.

    Byte for byte what `dvc add` writes, but for `isexec`, which is not kept there.

    Raises:
        Invalid: kind `metafile`: not a plain DVC 3 output, or a path that cannot be written unambiguously.
    """
    if out.hash != "md5" or out.size is None or not out.hashed:
        raise invalid(f"{out.path!r} is not an output of DVC 3 with a hash and a size")
    if out.is_dir != (out.nfiles is not None):
        raise invalid(f"{out.path!r}: nfiles belongs to directories, and only to them")
    data = _encode(out)
    if _decode(data) != _canonical(out):
        raise invalid(f"the path {out.path!r} cannot be written so that everybody reads the same")
    return data


def parse_canonical(data: bytes) -> Output:
    """The output of a canonical metafile; whatever is not exactly what `encode_metafile` writes is refused.

    Raises:
        Invalid: kind `metafile`; kind `unsafe-path`.
    """
    out = _decode(data) if len(data) <= MAX_METAFILE else None
    if out is None or _encode(out) != data:
        raise invalid("not the one canonical form (one out; md5, size, nfiles, hash, path; at most 64 KiB)")
    layout.require_safe(out.path, "a metafile")
    return out


def read_metafile(data: bytes) -> Metafile:
    """What a `.dvc` file of a workspace says, read as leniently as DVC does: no more, no less.

    Raises:
        Invalid: kind `metafile`: not YAML, or not of DVC's schema, which has no other keys than its own.
    """
    plain = _decode(data)
    if plain is not None:
        return Metafile((plain,))
    tree = load_yaml(data)
    _refuse_foreign(tree, _STAGE_KEYS)
    outs, deps = sequence(tree, "outs"), sequence(tree, "deps")
    for out in outs:
        _refuse_foreign(out if isinstance(out, dict) else {}, _OUT_KEYS)
    return Metafile(
        outs=tuple(read_output(out) for out in outs),
        wdir=_as(tree, "wdir", str, ".") or ".",
        frozen=bool(tree.get("frozen", tree.get("locked", False))),
        has_deps=bool(deps),
        origin=_origin(deps[0]) if len(deps) == len(outs) == 1 else "",
    )


def read_lock(data: bytes) -> tuple[Output, ...]:
    """The outputs of all stages of a `dvc.lock`, relative to its folder.

    Raises:
        Invalid: kind `metafile`.
    """
    stages = mapping(load_yaml(data).get("stages"), "stages")
    return tuple(read_output(out) for stage in stages.values() for out in sequence(stage, "outs"))


def normal_form(data: bytes) -> bytes:
    """A workspace's `.dvc` file as DVC would write it: its emitter's form, comments and annotations kept.

    A file with one plain output and no comment gets DVC's order of keys too. Idempotent.

    Raises:
        Invalid: kind `metafile`.
    """
    read_metafile(data)
    tree = load_yaml(data, "rt")
    outs = sequence(tree, "outs")
    plain = set(tree) == {"outs"} and len(outs) == 1 and _CANONICAL_KEYS.issuperset(outs[0])
    if plain and b"#" not in data:
        out = read_output(dict(outs[0]))
        if out.hashed and not out.legacy and out.size is not None:
            return update_metafile(None, out)
    return _dump(tree)


def update_metafile(old: bytes | None, out: Output) -> bytes:
    """A workspace `.dvc` file whose output of that path is now `out`, as `dvc add` writes it.

    Comments, positions of keys, other outputs, and what users may add (`desc`, `type`, `labels`, `meta`,
    flags) stay; an unchanged output gives identical bytes.

    Raises:
        Invalid: kind `metafile`; kind `not-added`: the file is an import or has no such output.
    """
    fresh = _fields(out)
    if old is None:
        return _encode(out) if not out.isexec else _dump({"outs": [fresh]})
    read_metafile(old)
    tree = load_yaml(old, "rt")
    outs = tree.get("outs") or []
    same = [one for one in outs if isinstance(one, dict) and one.get("path") == out.path]
    if tree.get("deps") or len(same) != 1:
        raise Invalid(
            f"The metafile of {out.path} was not made by tracking it.",
            kind="not-added",
            mend="Leave imports and stages to `dvc update` and `dvc repro`.",
        )
    _apply(fresh, same[0])
    return _dump(tree)


def _canonical(out: Output) -> Output:
    return Output(out.path, out.md5, out.size, out.nfiles, out.is_dir)


def _fields(out: Output) -> dict[str, Any]:
    fields: dict[str, Any] = {"md5": f"{out.md5}.dir" if out.is_dir else out.md5}
    if out.size is not None:
        fields["size"] = out.size
    if out.nfiles is not None:
        fields["nfiles"] = out.nfiles
    if out.isexec:
        fields["isexec"] = True
    return {**fields, "hash": "md5", "path": out.path}


def _encode(out: Output) -> bytes:
    if _PLAIN.fullmatch(out.path) and (out.is_dir or _NOT_A_NUMBER.fullmatch(out.md5)):
        lines = [f"{key}: {value}" for key, value in _fields(_canonical(out)).items()]
        return ("outs:\n- " + "\n  ".join(lines) + "\n").encode("ascii")
    return _dump({"outs": [_fields(_canonical(out))]})


def _decode(data: bytes) -> Output | None:
    try:
        match = _FORM.fullmatch(data.decode("utf-8"))
    except UnicodeDecodeError:
        return None
    if match is None or (match["dir"] is None) != (match["nfiles"] is None):
        return None
    path = _scalar(match["path"])
    if path is None:
        return None
    nfiles = int(match["nfiles"]) if match["nfiles"] else None
    return Output(path, match["md5"], int(match["size"]), nfiles, match["dir"] is not None)


def _scalar(text: str) -> str | None:
    """The text of a YAML scalar as our own emitter writes it; None for anything that is no such scalar."""
    if _PLAIN.fullmatch(text):
        return text
    quoted = re.fullmatch(r"'(?:[^']|'')*'", text, re.DOTALL) or _DOUBLE_QUOTED.fullmatch(text)
    if not quoted and re.search(r"""^[\[\]{},&*!|>%@`'"#]|^[?-](?:\s|$)|: |:$| #|\n(?!    )""", text):
        return None
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    try:
        value = YAML(typ="safe", pure=True).load(text if quoted else f"- {text}\n")
    except (YAMLError, *BAD_YAML):
        return None
    value = value if quoted else value[0]
    return value if isinstance(value, str) else None


def _dump(tree: Mapping[str, Any]) -> bytes:
    """As DVC dumps: ruamel's round-trip emitter with its defaults, block style."""
    from ruamel.yaml import YAML

    yaml = YAML()
    yaml.default_flow_style = False
    stream = io.StringIO()
    yaml.dump(tree, stream)
    return stream.getvalue().encode("utf-8")


def _apply(fresh: dict[str, Any], old: MutableMapping[str, Any]) -> None:
    """Change `old` in place to `fresh` and what users may have added; as DVC's `apply_diff` does."""
    keep = {key for key in (*_ANNOTATIONS, *_FLAGS, "fs_config") if old.get(key)}
    keep |= {key for key in ("cache", "push") if old.get(key) is False}
    for key, value in fresh.items():
        if key not in old or old[key] != value:
            old[key] = value
    for key in set(old) - set(fresh) - keep:
        del old[key]


def read_output(raw: object) -> Output:
    """An entry of `outs`, of a `.dvc` file or of a `dvc.lock`. Raises as `read_metafile`."""
    if not isinstance(raw, dict) or not isinstance(raw.get("path"), str):
        raise invalid("an output has no path")
    md5 = _md5(raw.get("md5"))
    return Output(
        path=raw["path"],
        md5=md5.removesuffix(".dir"),
        size=_as(raw, "size", int, None),
        nfiles=_as(raw, "nfiles", int, None),
        is_dir=md5.endswith(".dir"),
        isexec=bool(raw.get("isexec")),
        hash=_as(raw, "hash", str, "md5-dos2unix") or "md5-dos2unix",
        remote=_as(raw, "remote", str, None),
        cache=bool(raw.get("cache", True)),
        push=bool(raw.get("push", True)),
        persist=bool(raw.get("persist", False)),
        cloud=any(raw.get(key) for key in _CLOUD),
    )


def _md5(value: object) -> str:
    """As text; an MD5 of digits alone that is not quoted is a number to YAML."""
    if value is not None and not isinstance(value, str | int | float):
        raise invalid("`md5` is not text")
    return str(value or "").lower()


def _origin(dep: object) -> Origin:
    if not isinstance(dep, dict):
        raise invalid("a dependency is not a mapping")
    if dep.get("db"):
        return "db"
    if dep.get("repo"):
        return "repo"
    return "versioned" if any(dep.get(key) for key in _CLOUD) else "url"


def _refuse_foreign(raw: Mapping[Any, Any], known: frozenset[str]) -> None:
    """As DVC does: a key that is misspelt, such as `pusj: false`, must not be passed over."""
    foreign = sorted(one if isinstance(one, str) else type(one).__name__ for one in set(raw) - known)
    if foreign:
        raise invalid(f"DVC has no key {foreign[0]!r} there")


def _as(raw: Mapping[str, Any], key: str, form: type[_T], default: _T | None) -> _T | None:
    value = raw.get(key, default)
    if value is not None and not isinstance(value, form):
        raise invalid(f"`{key}` is not of the type {form.__name__}")
    return value

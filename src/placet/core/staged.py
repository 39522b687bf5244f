"""What a commit may hold: no data, no credential, and metafiles as DVC writes them.

These rules keep honest people from a mistake that Git never forgets; they decide nothing about publication,
and whoever wants to can go around them (`git commit --no-verify`).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from placet.core import layout
from placet.core.dvcfile import MAX_METAFILE, normal_form, parse_canonical, read_metafile
from placet.core.globs import matches
from placet.core.metayaml import invalid
from placet.core.outputs import Tracking, leads_out, place, unhashed
from placet.errors import Invalid

MOST = 1_000_000
"""Bytes that a file in Git has at most, if nothing else is said."""
DATA = frozenset(
    {
        "arrow", "avro", "bam", "bcf", "bed", "bz2", "cram", "csv", "db", "dcm", "dta", "duckdb", "edf",
        "fasta", "fastq", "feather", "fif", "gz", "h5", "h5ad", "hdf5", "joblib", "jsonl", "loom",
        "mat", "nc", "ndjson", "nii", "npy", "npz", "ods", "onnx", "orc", "parquet", "pickle", "pkl",
        "por", "pq", "pt", "pth", "rar", "rda", "rdata", "rds", "safetensors", "sas7bdat", "sav",
        "sqlite", "sqlite3", "tar", "tgz", "tsv", "vcf", "xls", "xlsb", "xlsm", "xlsx", "xpt", "xz",
        "zip", "zst", "7z",
    }
)  # fmt: skip
"""Suffixes of files that hold data, or may hold anything."""
_HEAD = 4096
_MAGIC = re.compile(
    rb"PAR1[\0-\x1f]|ARROW1\0|Obj\x01|\x89HDF|CDF[\x01\x02\x05]|\x93NUMPY|SQLite format 3\0|\x80[\x02-\x05]"
    rb"|PK\x03\x04|\x1f\x8b|BZh[1-9]1AY|\xfd7zXZ|\x28\xb5\x2f\xfd|7z\xbc\xaf|.{128}DICM",
    re.DOTALL,
)
_KEY = re.compile(rb"-----BEGIN (?:[A-Z0-9]+ )*PRIVATE KEY-----")
_SECRET = re.compile(
    r"(?im)^\s*(access_key_id|secret_access_key|session_token|password|passphrase|sas_token|account_key"
    r"|connection_string|client_secret|gdrive_client_secret|gdrive_service_account_json_file_path|token"
    r"|oss_key_secret|custom_auth_header)\s*="
)
_USER = re.compile(r"(?im)^\s*(?:url|endpointurl)\s*=\s*\S+://[^/@\s:]*:[^/@\s]+@")
_LOCAL = re.compile(r"(?:.*/)?\.dvc/(?:config\.local|cache/.*|tmp/.*)", re.DOTALL)
_CACHED = re.compile(rb"(?:^|/)(?:files/md5|\.dvc/cache)/[0-9a-f]{2}/[0-9a-f]{30}(?:\.dir)?$")
_LINK, _FILE = "120000", frozenset({"100644", "100755"})


@dataclass(frozen=True, slots=True)
class Staged:
    """A file as the next commit will hold it: `mode` and `blob` as Git writes them, `size` in bytes."""

    path: str
    mode: str
    blob: str
    size: int


@dataclass(frozen=True, slots=True)
class Objection:
    """Why a file must not be committed, and what to do."""

    path: str
    reason: str
    mend: str


Read = Callable[[Staged, int], bytes]
"""The content of a file, if it is not longer than so many bytes."""
Owner = Callable[[str], Tracking | None]
"""The output of DVC that is at a path or around it."""
Same = Callable[[str, bytes], Tracking | None]
"""The output of DVC, in the project that a path is in, that has this content."""


def data_in(
    files: Sequence[Staged],
    read: Read,
    owner: Owner,
    same: Same,
    *,
    most: int = MOST,
    allow: Sequence[str] = (),
    governed: bool = False,
) -> list[Objection]:
    """What must not be committed because it is data, or a credential.

    Args:
        files: What is to be committed.
        read: Reads one of them.
        owner: Tells which output of DVC a file belongs to.
        same: Tells which output of DVC has the same bytes.
        most: Bytes that a file has at most.
        allow: Globs of files that may be of any size and kind; not of outputs, and of nothing of DVC's own.
        governed: This is a clone of a Ctrl repository.
    """
    out = []
    for one in files:
        reason = _never(one, read, owner, governed=governed)
        if reason is None and not any(matches(glob, one.path) for glob in allow):
            reason = _data(one, read, same, most)
        if reason is not None:
            out.append(Objection(one.path, *reason))
    return out


def _never(one: Staged, read: Read, owner: Owner, *, governed: bool) -> tuple[str, str] | None:
    """What no option allows."""
    away = f"git rm --cached -r -- {one.path}"
    if governed and not layout.is_known(one.path):
        return "a Ctrl repository holds metafiles and records, nothing else", away
    if _LOCAL.fullmatch(one.path):
        return "it is DVC's own, for this machine alone", f"{away}; then look at .dvc/.gitignore"
    if one.path.endswith(".dvc/config") and _holds_secret(read(one, MOST)):
        return "it holds a credential", "dvc remote modify --local, and make the credential void"
    found = owner(one.path)
    if found is not None and found.out.cache:
        return f"it belongs to an output of {found.named}", f"{away}; then placet track {found.path}"
    if one.mode == _LINK and _CACHED.search(read(one, _HEAD)):
        return "it is a link into DVC's cache", away
    return None


def _holds_secret(config: bytes) -> bool:
    text = config.decode("utf-8", "replace")
    return _SECRET.search(text) is not None or _USER.search(text) is not None


def _data(one: Staged, read: Read, same: Same, most: int) -> tuple[str, str] | None:
    """What looks like data, by name, size or first bytes, or is a copy of some."""
    if one.mode not in _FILE:
        return None
    track = f"git rm --cached -- {one.path}; then placet track {one.path}, or allow it: --allow"
    if one.size > most:
        return f"it has {one.size} bytes; at most {most} go into Git", track
    suffix = one.path.rsplit("/", 1)[-1].lower().rpartition(".")
    if suffix[1] and suffix[2] in DATA:
        return f"*.{suffix[2]} holds data, or may hold anything", track
    content = read(one, most)
    if _MAGIC.match(content[:_HEAD]):
        return "it begins as a file that holds data", track
    if content and (found := same(one.path, content)) is not None:
        return f"it has the bytes of {found.path}, an output of {found.named}", track
    if _KEY.search(content):
        return (
            "it holds a private key",
            f"git rm --cached -- {one.path}; and make the key void, if it was pushed",
        )
    return None


@dataclass(frozen=True, slots=True)
class Rewritten:
    """A metafile in another form than DVC's; `data` is how DVC would write the same."""

    file: Staged
    data: bytes


def metafiles_in(
    files: Sequence[Staged], read: Read, *, governed: bool = False
) -> tuple[list[Objection], list[Rewritten]]:
    """What is wrong with the `.dvc` files among these, and those that only have another form.

    In a clone of a Ctrl repository there is one form, and nothing is rewritten.
    """
    wrong: list[Objection] = []
    odd: list[Rewritten] = []
    for one in files:
        if not one.path.endswith(".dvc") or one.path.rsplit("/", 1)[-1] == ".dvc":
            continue
        try:
            if one.mode not in _FILE:
                raise invalid("not a regular file")
            data = read(one, MAX_METAFILE)
            problems = list(_governed(one, data) if governed else _problems(one, data))
            wrong += problems
            if not governed and not problems and (form := normal_form(data)) != data:
                odd.append(Rewritten(one, form))
        except Invalid as error:
            wrong.append(Objection(one.path, error.what, f"dvc status {one.path}"))
    return wrong, odd


def _governed(one: Staged, data: bytes) -> Iterator[Objection]:
    out = parse_canonical(data)
    if f"{out.path}.dvc" != one.path.rsplit("/", 1)[-1]:
        yield Objection(one.path, f"it tells of {out.path!r}", "Name it as its output, with .dvc at the end.")


def _problems(one: Staged, data: bytes) -> Iterator[Objection]:
    found = read_metafile(data)
    if not found.outs:
        yield Objection(one.path, "it has no output", f"git rm --cached -- {one.path}")
    for out in found.outs:
        path = place(one.path, found.wdir, out.path)
        tracking = Tracking(path, one.path, out, origin=found.origin)
        if leads_out(path):
            yield Objection(one.path, f"its output {out.path!r} leads out of the project", "Move it inside.")
        elif out.cache and not out.hashed and not out.cloud:
            yield Objection(one.path, unhashed(tracking), f"dvc commit {one.path}")

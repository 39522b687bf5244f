"""Every key, path, branch and ref name, and what a safe path is (design 6.1).

Nothing else in Placet spells such a name. Names that come from outside are checked here first.
"""

from __future__ import annotations

import itertools
import re
import unicodedata
from collections.abc import Iterable, Iterator
from urllib.parse import quote, unquote

from placet.core import limits
from placet.core.guards import guard
from placet.errors import Invalid

POLICY = ".placet/policy.yaml"
DVC_CONFIG = ".dvc/config"
GITIGNORE = ".gitignore"
DVC_GITIGNORE = ".dvc/.gitignore"
CODEOWNERS = "CODEOWNERS"  # on `main`, for a hosted forge; binds nobody
POLICY_FILES = (POLICY, DVC_CONFIG, GITIGNORE, DVC_GITIGNORE)

ARTIFACTS = "artifacts/"
ARTIFACT_SCHEME = "placet"
CRATE = "ro-crate-metadata.json"
PROPOSALS = ".placet/proposals/"
FREEZES = ".placet/freezes/"
LEDGER = ".placet/ledger/"

PROBE_FOLDER = "placet/probe/"  # in a tier, not in Git: what tells how a store behaves, and is nobody's data

MAIN = "refs/heads/main"
DEFAULT_TIER = "publication-storage"
PROPOSAL_BRANCHES = "refs/heads/proposals/"
CLOSED_REFS = "refs/placet/closed/"
FREEZE_BRANCHES = "refs/heads/freezes/"
FREEZE_TRACKING = "refs/remotes/origin/freezes/"
WATCHED = (MAIN, f"{FREEZE_BRANCHES}*")
PROBE, PROBE_SUM, PROBE_RIGHTS, PROBE_ERASED = (
    f"{PROBE_FOLDER}{name}" for name in ("object", "checksum", "doctor", "retraction")
)
PROBES = frozenset({PROBE, PROBE_SUM, PROBE_RIGHTS, PROBE_ERASED})
"""All that Placet leaves in a remote when it tries what a service and a credential can do."""
"""The refs that a party looks at once more before it records a publication."""

MAX_PATH_BYTES = limits.PATH_BYTES
MAX_NAME_BYTES = limits.NAME_BYTES

_NAME = re.compile(r"[a-z0-9](?:[a-z0-9._-]{0,62}[a-z0-9])?")
_ID = re.compile(r"[0-9a-f]{32}")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_HASHED = re.compile(
    r"(?:files/md5|placet/dirs)/([0-9a-f]{2})/([0-9a-f]{30})(\.dir)?|placet/sums/([0-9a-f]{2})/([0-9a-f]{62})"
)
_ARTIFACT_URI = re.compile(r"placet://([0-9a-f]{32})/artifacts/([^/]{1,64})/(.{1,3072})")
_WINDOWS = re.compile(r"(?i)(con|prn|aux|nul|com[0-9]|lpt[0-9])(\..*)?")
_ORDINARY = re.compile(r"(?:(?:[A-Za-z0-9_-][A-Za-z0-9_.-]{0,200})?[A-Za-z0-9_-](?:/(?!$)|$))+")
_SUSPECT = re.compile(
    r"(?i)(?:^|/)(?:con|prn|aux|nul|com[0-9]|lpt[0-9]|dvc\.yaml|dvc\.lock)(?:[./]|$)|\.dvc$"
)
_FORGE = re.compile(
    r"CODEOWNERS|\.(?:github|gitea|forgejo)/(?:CODEOWNERS|workflows/[A-Za-z0-9_-][A-Za-z0-9_.-]{0,99}\.ya?ml)"
)
_RESERVED_PARTS = frozenset({".git", ".dvc", ".placet"})
_DVC_FILES = frozenset({"dvc.yaml", "dvc.lock", ".dvcignore"})
_RESERVED_FILES = _DVC_FILES | {".gitignore", ".gitattributes"}


def is_id(text: str) -> bool:
    """Is this a proposal id (32 hex)?"""
    return _ID.fullmatch(text) is not None


def is_sha256(text: str) -> bool:
    """Is this a SHA-256 in lower-case hex?"""
    return _SHA256.fullmatch(text) is not None


def is_name(text: str) -> bool:
    """May a node, person, group or tier be called so? (It becomes a path part and a branch name.)"""
    return _NAME.fullmatch(text) is not None and ".." not in text and not text.endswith(".lock")


@guard(4, 7)
def unsafe(path: str, *, strict: bool = True) -> str | None:
    """Why this relative path must not be used, or None if it is safe on every system.

    Args:
        path: The path.
        strict: Else names that are safe here pass that Windows cannot hold, or that hold what nobody sees:
            the workspace's own files, which are not governed.

    Safe: relative, `/`-separated, valid UTF-8, no empty, `.` or `..` part, no control character,
    no backslash, no part that Git, DVC, Placet or Windows takes for its own, bounded in length and depth.
    """
    if _ordinary(path):
        return None
    if strict and path.count("/") >= limits.PATH_DEPTH:
        return f"has more than {limits.PATH_DEPTH} parts"
    try:
        encoded = path.encode("utf-8")
    except UnicodeEncodeError:
        return "is not valid UTF-8"
    if not path or len(encoded) > MAX_PATH_BYTES:
        return "is empty or longer than 1024 bytes"
    hidden = {"Cc", "Cf"} if strict else {"Cc"}
    if "\\" in path or any(unicodedata.category(char) in hidden for char in path):
        return "holds a backslash, a control or an invisible character"
    for part in path.split("/"):
        reason = _unsafe_part(part, strict=strict)
        if reason is not None:
            return reason
    return None


def _unsafe_part(part: str, *, strict: bool) -> str | None:
    if part in {"", ".", ".."}:
        return "is absolute, or has an empty, '.' or '..' part"
    if len(part.encode("utf-8")) > MAX_NAME_BYTES:
        return "has a name longer than 255 bytes"
    folded = fold(part).rstrip(". ")
    if folded in _RESERVED_PARTS or re.fullmatch(r"git~\d+", folded):
        return f"has a reserved part {part!r}"
    foreign = _WINDOWS.fullmatch(part) or part[-1] in ". " or any(char in part for char in ':*?"<>|')
    if strict and foreign:
        return f"has a part {part!r} that Windows cannot hold"
    return None


@guard(4, 7)
def forbidden_in_directory(path: str, *, strict: bool = True) -> str | None:
    """Why a directory artifact must not hold this path, or None (design 6.1).

    A file of such a name inside a tracked directory breaks DVC's collection or Git's ignoring. What is not
    governed (`strict` as of `unsafe`) may have Git's files.
    """
    if _ordinary(path):
        return None
    name = fold(path.rsplit("/", 1)[-1])
    if name.endswith(".dvc") or name in (_RESERVED_FILES if strict else _DVC_FILES):
        return f"is called {name!r}, which DVC or Git would read as its own"
    return unsafe(path, strict=strict)


@guard(4, 7)
def forbidden_artifact(path: str) -> str | None:
    """Why no artifact may be called so, or None.

    Its data would be read by Git or DVC as their own, or take the place of another artifact's metafile.
    """
    parts = path.split("/")
    reasons = (forbidden_in_directory(part) for part in parts if part)
    return unsafe(path) or next((reason for reason in reasons if reason), None)


def _ordinary(path: str) -> bool:
    """Is this plain ASCII that no rule here could forbid? Most paths are, and need no closer look."""
    short = len(path) <= MAX_PATH_BYTES and path.count("/") < limits.PATH_DEPTH
    return short and _ORDINARY.fullmatch(path) is not None and not _SUSPECT.search(path)


def fold(path: str) -> str:
    """The form in which two paths are compared: NFC and case folding."""
    if path.isascii():
        return path.lower()
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", path).casefold())


@guard(4)
def clash(paths: Iterable[str]) -> tuple[str, str] | None:
    """Two paths of which one equals or contains the other after folding, or None."""
    names = list(paths)
    ordered = sorted(map(_parts, names))
    for before, after in itertools.pairwise(ordered):
        if after.startswith(before):
            one, two = (_named(names, form) for form in (before, after))
            return (one[0], two[-1]) if before != after else (one[0], one[1])
    return None


class Occupied:
    """Paths that are taken, to be asked which of them another path would clash with (as `clash`)."""

    def __init__(self, paths: Iterable[str] = ()) -> None:
        self._paths: dict[str, set[str]] = {}
        self._folders: dict[str, set[str]] = {}
        for path in paths:
            self.add(path)

    def add(self, path: str) -> None:
        """Take a path; again: nothing happens."""
        form = _parts(path)
        self._paths.setdefault(form, set()).add(path)
        for folder in _above(form):
            self._folders.setdefault(folder, set()).add(path)

    def discard(self, path: str) -> None:
        """Give a path up, if it is taken."""
        form = _parts(path)
        self._paths.get(form, set()).discard(path)
        for folder in _above(form):
            self._folders.get(folder, set()).discard(path)

    def clash(self, path: str) -> str | None:
        """The path that this one equals but for its spelling, contains, or lies in; None if it is free.

        The path itself, spelt the same, is no clash: it is another version.
        """
        form = _parts(path)
        same = min(self._paths.get(form, set()) - {path}, default=None)
        inside = (min(self._paths[one]) for one in _above(form) if self._paths.get(one))
        return same or min(self._folders.get(form, ()), default=None) or next(inside, None)


def at_or_below(path: str, folder: str) -> bool:
    """Is `path` this folder, or below it?"""
    return path == folder or path.startswith(f"{folder}/")


def _parts(path: str) -> str:
    """A form in which a folder is the beginning of what it holds."""
    return fold(path).replace("/", "\0") + "\0"


def _above(form: str) -> Iterator[str]:
    """The folders above a path, of the form of `_parts`."""
    at = form.find("\0")
    while at < len(form) - 1:
        yield form[: at + 1]
        at = form.find("\0", at + 1)


def _named(paths: Iterable[str], form: str) -> list[str]:
    return sorted(path for path in paths if _parts(path) == form)


def data_key(md5: str, *, is_dir: bool = False) -> str:
    """Where DVC 3 keeps an object, in a cache or a remote."""
    return f"files/md5/{md5[:2]}/{md5[2:]}{'.dir' if is_dir else ''}"


def legacy_key(md5: str, *, is_dir: bool = False) -> str:
    """Where DVC 2 keeps an object (`md5-dos2unix`), in a cache or a remote."""
    return f"{md5[:2]}/{md5[2:]}{'.dir' if is_dir else ''}"


def sums_key(sha256: str) -> str:
    """Where the digest list of a directory artifact is kept, in cache and remote, by its SHA-256."""
    return f"placet/sums/{sha256[:2]}/{sha256[2:]}"


def sums_pointer(md5: str) -> str:
    """Where a local cache remembers which digest list belongs to a `.dir` object; never in a remote."""
    return f"placet/dirs/{md5[:2]}/{md5[2:]}"


def data_folder(shard: int) -> str:
    """Where the objects are whose MD5 begins with this byte."""
    return f"files/md5/{shard:02x}/"


def sums_folder(shard: int) -> str:
    """Where the digest lists are whose SHA-256 begins with this byte."""
    return f"placet/sums/{shard:02x}/"


def pointers_folder(shard: int) -> str:
    """Where a local cache has the pointers of `.dir` objects whose MD5 begins with this byte."""
    return f"placet/dirs/{shard:02x}/"


def hash_of(key: str) -> tuple[str, bool] | None:
    """The hash in a key of one of these folders, and whether it is a `.dir` object; None for foreign keys."""
    match = _HASHED.fullmatch(key)
    if match is None or (match[3] and not key.startswith("files/")):
        return None
    return f"{match[1] or match[4]}{match[2] or match[5]}", match[3] is not None


def metafile(node: str, path: str) -> str:
    """The `.dvc` file in the Ctrl repository of a node's workspace path."""
    return f"{ARTIFACTS}{node}/{path}.dvc"


def artifact_uri(repository: str, node: str, path: str) -> str:
    """How provenance names an artifact of a Ctrl repository, whatever version its digest says."""
    return f"{ARTIFACT_SCHEME}://{repository}/{ARTIFACTS}{node}/{quote(path)}"


def of_artifact_uri(uri: str) -> tuple[str, str, str] | None:
    """Repository, node and path that such a URI names, or None: it is another one."""
    match = _ARTIFACT_URI.fullmatch(uri)
    if match is None:
        return None
    repository, node, path = match[1], match[2], unquote(match[3], errors="replace")
    known = is_name(node) and unsafe(path) is None and artifact_uri(repository, node, path) == uri
    return (repository, node, path) if known else None


def folder(proposal: str) -> str:
    """The folder of a proposal, with a slash at its end."""
    return f"{PROPOSALS}{proposal[:2]}/{proposal}/"


def is_known(path: str) -> bool:
    """Is this a path that the Ctrl repository's layout has on `main`?"""
    if path.startswith(ARTIFACTS):
        data = path.removeprefix(ARTIFACTS).removesuffix(".dvc")
        return path.endswith(".dvc") and "/" in data and forbidden_artifact(data) is None
    return path in POLICY_FILES or path.startswith((PROPOSALS, FREEZES)) or is_forge_file(path)


def is_forge_file(path: str) -> bool:
    """Is this a file that a forge reads on `main`: code owners, workflows? It binds nobody here."""
    return _FORGE.fullmatch(path) is not None


def manifest_path(proposal: str) -> str:
    """Where a proposal's signed manifest is."""
    return f"{folder(proposal)}manifest.json"


def decision_path(proposal: str, person: str, number: int) -> str:
    """Where a person's n-th decision on a proposal is."""
    return f"{folder(proposal)}decisions/{person}-{number}.json"


def observation_path(proposal: str, witness: str, number: int) -> str:
    """Where a witness's n-th observation about a proposal is."""
    return f"{folder(proposal)}observations/{witness}-{number}.json"


def withdrawal_path(proposal: str) -> str:
    """Where the signer's withdrawal of a proposal is."""
    return f"{folder(proposal)}withdraw.json"


def receipt_path(proposal: str) -> str:
    """Where the receipt is; on published branches only."""
    return f"{folder(proposal)}receipt.json"


def crate_path(proposal: str) -> str:
    """Where the RO-Crate of a publication is; on published branches only."""
    return f"{folder(proposal)}{CRATE}"


def proposal_of(path: str) -> tuple[str, str] | None:
    """Proposal id and file name within its folder, or None if the path is in no proposal's folder."""
    match = re.fullmatch(r"\.placet/proposals/([0-9a-f]{2})/(\1[0-9a-f]{30})/(.+)", path)
    return (match[2], match[3]) if match else None


def decision_of(name: str) -> tuple[str, int] | None:
    """Person and number of a decision's name within the folder (`decisions/<person>-<n>.json`)."""
    return _numbered("decisions", name)


def observation_of(name: str) -> tuple[str, int] | None:
    """Witness and number of an observation's name within the folder (`observations/<witness>-<n>.json`)."""
    return _numbered("observations", name)


def is_observation(path: str) -> bool:
    """Is this the path of an observation about some proposal?"""
    found = proposal_of(path)
    return found is not None and observation_of(found[1]) is not None


def _numbered(folder: str, name: str) -> tuple[str, int] | None:
    match = re.fullmatch(rf"{folder}/(.+)-([1-9][0-9]{{0,5}})\.json", name)
    if match is None or not is_name(match[1]):
        return None
    return match[1], int(match[2])


def freeze_path(freeze: str) -> str:
    """Where a freeze or unfreeze statement is."""
    return f"{FREEZES}{freeze}.json"


def freeze_id(digest: str) -> str:
    """The id of a freeze or unfreeze, by the digest of its statement."""
    return digest[:32]


def ledger_path(sequence: int) -> str:
    """Where the ledger entry of a sequence number is."""
    return f"{LEDGER}{sequence // 1000}/{sequence}.json"


def published_name(tier: str) -> str:
    """The short name of a publication tier's published branch."""
    return "published" if tier == DEFAULT_TIER else f"published-{tier}"


def published_ref(tier: str) -> str:
    """The full ref of a publication tier's published branch."""
    return f"refs/heads/{published_name(tier)}"


def proposal_ref(proposal: str) -> str:
    """The full ref of an open proposal's branch."""
    return f"{PROPOSAL_BRANCHES}{proposal}"


def closed_ref(proposal: str) -> str:
    """Where a closed proposal's branch is kept."""
    return f"{CLOSED_REFS}{proposal}"


def freeze_ref(freeze: str) -> str:
    """The branch that carries a freeze without a merge."""
    return f"{FREEZE_BRANCHES}{freeze}"


def require_safe(path: str, what: str, *, strict: bool = True) -> str:
    """The path, if it is safe; `strict` as of `unsafe`.

    Raises:
        Invalid: kind `unsafe-path`.
    """
    reason = unsafe(path, strict=strict)
    if reason is not None:
        raise Invalid(f"The path {path!r} of {what} {reason}.", kind="unsafe-path")
    return path

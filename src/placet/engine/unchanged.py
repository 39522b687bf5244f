"""Are the bytes of an output in the workspace those that are tracked? Answered by reading them."""

from __future__ import annotations

from placet.core.digest import digest_chunks, sha256_hex
from placet.core.sums import encode_sums
from placet.engine.artifact import Tracked
from placet.engine.disk import chunks
from placet.engine.threads import run
from placet.engine.track import Found, scan
from placet.engine.workspace import Workspace
from placet.errors import Corrupt, Invalid, NotFound
from placet.ports import Progress


def require_unchanged(workspace: Workspace, tracked: Tracked, jobs: int, progress: Progress) -> None:
    """Read an output, and refuse other bytes than those that are tracked, whatever its times and size say.

    Raises:
        Corrupt: kind `changed-output`.
    """
    try:
        is_dir, files = scan(workspace, tracked.path)
        progress.start(f"prove {tracked.path}", len(files), sum(one.stamp.size for one in files))
        digests = run(lambda one: _read(one, progress), files, jobs)
        progress.done()
        listed = encode_sums((one.name, sha256) for one, sha256 in zip(files, digests, strict=True) if is_dir)
    except (Invalid, NotFound) as error:
        raise _changed(tracked, error.what) from error
    found = sha256_hex(listed) if is_dir else digests[0]
    if is_dir != tracked.is_dir or found != tracked.digests.sha256:
        raise _changed(tracked, "")


def _read(one: Found, progress: Progress) -> str:
    found = digest_chunks(chunks(one.path))
    progress.advance(1, found.size)
    return found.sha256


def _changed(tracked: Tracked, why: str) -> Corrupt:
    return Corrupt(
        f"{tracked.path} is not what was tracked.",
        kind="changed-output",
        why=why,
        mend=f"Make it again; or take back what was tracked: placet checkout -f {tracked.path}",
    )

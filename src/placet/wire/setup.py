"""Setting up: keys, workspaces, Ctrl repositories, and the hook that they run."""

from __future__ import annotations

import contextlib
import re
import shutil
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from placet import config
from placet.adapters import keys
from placet.adapters.git import GitRepo
from placet.adapters.git_server import init_bare, install_hook
from placet.core import layout
from placet.core.policy import Policy, parse_policy
from placet.engine import begin, gate
from placet.engine.ctrl import load
from placet.engine.disk import disk
from placet.errors import Conflict, Invalid, NotFound, Unavailable
from placet.ports import RefUpdate, Signer
from placet.wire.ctrl import Wire, read_file
from placet.wire.data import SystemClock
from placet.wire.forge import commission, may_push
from placet.wire.keys import signer, webhook_secret

_MAX_PUSH = 64 << 20
_UPDATE = re.compile(r"([0-9a-f]{40,64}) ([0-9a-f]{40,64}) (\S+)")


def generate_key(key: str, passphrase: bytes | None) -> str:
    """Make a key file, or find a key of an agent or token; returns the public key as policy writes it."""
    found = config.key_of(Path(), key)
    return keys.generate(found, passphrase).public if isinstance(found, Path) else signer(found).public


def init_workspace(folder: Path) -> Path:
    """Write a `placet.toml` to fill in beside `.dvc`; keeps one that is there."""
    root = config.find_dvc(folder)
    if root is None:
        raise NotFound(
            f"There is no DVC project at or above {folder.resolve()}.",
            kind="no-dvc",
            mend="Run `dvc init` first (outside of Git: `dvc init --no-scm`).",
        )
    path = root / config.SETTINGS
    if not path.exists():
        with disk(path):
            path.write_text(config.TEMPLATE, encoding="utf-8")
    return path


def init_ctrl(path: Path, policy_file: Path, key: str) -> dict[str, str]:
    """Make an empty (or no) bare Git repository a Ctrl repository with the gate installed.

    Returns:
        `trust_root`, `repository`, `path`, and the `policy` as it was begun with.

    Raises:
        Conflict: kind `not-empty`: the repository has branches already.
        Invalid: kind `policy`.
        Refused: kind `not-a-governor`.
    """
    policy = parse_policy(config.complete_policy(read_file(policy_file)))
    governor = signer(config.key_of(Path(), key))
    default = layout.published_name(next(iter(policy.form.tiers)))
    if path.is_dir() and any(path.iterdir()) and not (path / "objects").is_dir():
        raise _not_empty(path)
    fresh = not path.exists()
    try:
        init_bare(path, default_branch=default, max_input_bytes=_MAX_PUSH, environ=config.environment())
        trust_root = _begin(path, policy, governor)
    except BaseException:
        if fresh:
            shutil.rmtree(path, ignore_errors=True)
        raise
    install_hook(path, _HOOK.format(python=sys.executable, trust_root=trust_root))
    return {
        "trust_root": trust_root,
        "repository": policy.form.repository,
        "path": str(path.resolve()),
        "policy": policy.data.decode(),
    }


def _begin(path: Path, policy: Policy, governor: Signer) -> str:
    """The first commits; returns the trust root."""
    with ExitStack() as stack:
        work = path.resolve().with_name(f".{path.name}.begin")
        stack.callback(shutil.rmtree, work, ignore_errors=True)
        repo = GitRepo.cache(work, str(path.resolve()), config.environment())
        stack.callback(repo.close)
        repo.fetch()
        if repo.refs():
            raise _not_empty(path)
        return begin.begin(repo, policy, governor, SystemClock().now())


def init_forge(
    folder: Path,
    policy_file: Path | None,
    *,
    create: bool = False,
    agents: Sequence[str] | None = None,
    witnesses: Sequence[str] | None = None,
    hook: str | None = None,
    secret: Path | None = None,
) -> dict[str, str]:
    """Begin a Ctrl repository on the forge of the settings, if it is empty there, and protect it. Idempotent.

    Args:
        folder: Where `placet.toml` is, of somebody whom the policy lets change it.
        policy_file: The policy to begin with; none for a repository that has one.
        create: Make the repository on the forge, private, if it is not there; needs a policy.
        agents: Logins of the accounts that may push to `main` and to what is published; None: whoever may.
        witnesses: Logins of those that may push to `main` only; None: whoever may.
        hook: Address of an agent's webhook.
        secret: The file with its secret; that of `[agent]` by default.

    Returns:
        As `init_ctrl`, with its address for `path`; and `may_push`, who may push where from now on.

    Raises:
        Invalid: kinds `settings`, `policy`: no hosted forge is set; a new or empty repository and no policy.
        Conflict: kind `not-empty`: a policy was given for a repository that has one.
    """
    settings = config.load_settings(folder)
    if settings.forge is None:
        raise Invalid(
            "No hosted forge is set.",
            kind="settings",
            mend='Write a table [forge] with kind = "gitea" (or forgejo, github) to placet.toml.',
        )
    if create and policy_file is None:
        raise Invalid(
            "A new repository needs a policy to begin with.",
            kind="settings",
            mend="Give --policy FILE; or leave out --create to protect a repository that is there.",
        )
    key = _hook_secret(settings, secret) if hook is not None else None
    with contextlib.closing(Wire(settings, folder, None)) as wire:
        forge = wire.forge  # before anything is pushed: is there a credential?
        given = parse_policy(config.complete_policy(read_file(policy_file))) if policy_file else None
        if create:
            forge.ensure()
        policy, trust_root = _begun(wire, given, made=create)
        wanted = commission(policy, settings.forge.known_as, agents, witnesses, hook, key)
        forge.protect(wanted)
        pushers = may_push(forge, wanted)
    return {
        "trust_root": trust_root,
        "repository": policy.form.repository,
        "path": config.require_ctrl(settings),
        "policy": policy.data.decode(),
        "may_push": pushers,
    }


def _begun(wire: Wire, policy: Policy | None, *, made: bool) -> tuple[Policy, str]:
    """The policy of the Ctrl repository and its trust root; of an empty one, once it has them."""
    try:
        wire.repo.fetch()
    except Unavailable as error:
        if made:
            raise
        mend = f"{error.mend} If the repository is not there yet, add --create."
        raise Unavailable(error.what, kind=error.kind, why=error.why, mend=mend) from error
    if wire.repo.refs():
        if policy is not None:
            raise Conflict(
                f"{wire.settings.ctrl} is not empty.",
                kind="not-empty",
                mend="Leave out --policy and --create to protect what is there, or name an empty repository.",
            )
        view = load(wire.repo, wire.trust_root(), wire.clock.now(), wire.memory)
        return view.history.policy, view.history.trust_root
    if policy is None:
        raise Invalid(f"{wire.settings.ctrl} is empty.", kind="settings", mend="Give --policy FILE.")
    trust_root = begin.begin(wire.repo, policy, wire.signer(), wire.clock.now())
    wire.memory.pin(config.require_ctrl(wire.settings), trust_root)
    return policy, trust_root


def _hook_secret(settings: config.Settings, file: Path | None) -> bytes:
    agent = settings.agent
    if file is None and agent is not None and agent.webhook_secret is not None:
        file = settings.root / Path(agent.webhook_secret).expanduser()
    if file is None:
        raise Invalid("A webhook needs a secret.", kind="settings", mend="Give --secret FILE.")
    found = webhook_secret(file)
    if not found.isascii():
        raise Invalid(f"The secret in {file} is not a text.", kind="webhook-secret")
    return found


def _not_empty(path: Path) -> Conflict:
    return Conflict(
        f"{path.resolve()} is not empty.",
        kind="not-empty",
        mend="Name a new folder or an empty bare repository.",
    )


_HOOK = """#!/bin/sh
# Installed by Placet: judges every push by its content. A push by the repository's path passes it too, but
# whoever can write these files can go around it: agents and `placet verify` refuse the result all the same.
exec '{python}' -P -m placet hook pre-receive --trust-root {trust_root}
"""


def judge_push(lines: bytes, trust_root: str) -> None:
    """The hook: judge the updates that Git names on standard input.

    Raises:
        Refused: kind `push-refused`.
    """
    updates = read_updates(lines)
    repo = GitRepo.server(Path.cwd(), config.environment())
    try:
        gate.judge_push(repo, trust_root, updates, SystemClock().now())
    finally:
        repo.close()


def read_updates(data: bytes) -> list[RefUpdate]:
    """The updates of a push: a line `<old> <new> <ref>` each (githooks(5)); a ref may hold any odd letter.

    Raises:
        Refused: kind `push-refused`: not such lines.
    """
    lines = data.decode("utf-8", "surrogateescape").split("\n")
    found = [_UPDATE.fullmatch(line) for line in lines if line]
    if not all(found):
        raise gate.refuse("?", "What Git said of it cannot be read.")
    return [RefUpdate(one[3], _known(one[1]), _known(one[2])) for one in found if one]


def _known(ident: str) -> str | None:
    return None if set(ident) == {"0"} else ident

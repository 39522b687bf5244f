"""Commands that set up: init, keygen, demo, and the server's hook."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from placet.cli.output import output


def register(app: typer.Typer) -> None:
    """Add the commands of this file."""
    for command in (init, keygen, demo):
        app.command()(command)
    app.command(name="hook", hidden=True)(hook)


def init(
    path: Annotated[Path, typer.Argument(help="The project, or with --ctrl the bare repository.")] = Path(),
    ctrl: Annotated[
        bool, typer.Option("--ctrl", help="Make an empty Git repository a Ctrl repository.")
    ] = False,
    policy: Annotated[Path | None, typer.Option(help="With --ctrl: the policy to begin with.")] = None,
    key: Annotated[
        Path | None, typer.Option(help="With --ctrl: the key of who may change the policy.")
    ] = None,
    tier: Annotated[str, typer.Option(help="With --ctrl: begin this tier's published branch.")] = "",
) -> None:
    """Make this DVC project a node's workspace, or with --ctrl a repository a Ctrl repository.

    With --ctrl, prints the digest of policy 0: every party pins it as `trust_root`.
    """
    from placet import wire
    from placet.client import Client

    if ctrl and tier:
        with Client(path) as client:
            commit = client.begin_tier(tier)
        output.show({"commit": commit}, lambda found, console: console.print(found["commit"]))
    elif ctrl:
        if policy is None or key is None:
            raise typer.BadParameter("--ctrl needs --policy FILE and --key FILE.")
        made = wire.init_ctrl(path, policy, key)
        output.show(
            made, lambda found, console: console.print(f'trust_root = "sha256:{found["trust_root"]}"')
        )
    else:
        written = wire.init_workspace(path)
        output.show(
            {"settings": str(written)}, lambda found, console: console.print(f"Edit {found['settings']}")
        )


def keygen(
    file: Annotated[Path, typer.Argument(help="The new key file; never overwritten.")],
    passphrase: Annotated[bool, typer.Option(help="Ask for a passphrase.")] = False,
) -> None:
    """Make a signing key (Ed25519) and print the line for the policy."""
    from placet import wire

    secret = typer.prompt("Passphrase", hide_input=True, confirmation_prompt=True) if passphrase else None
    public = wire.generate_key(file, secret.encode() if secret else None)
    output.show({"public": public}, lambda found, console: console.print(found["public"]))


def demo(
    keep: Annotated[
        bool, typer.Option("--keep", help="Leave everything running, and say how to go on.")
    ] = False,
    folder: Annotated[Path | None, typer.Option(help="Where to work; a temporary folder by default.")] = None,
) -> None:
    """Show the whole path on this machine, on real parts, and what must not work."""
    from placet.demo import run

    raise typer.Exit(run(folder, keep=keep, json_output=output.json))


def hook(
    kind: Annotated[str, typer.Argument(help="pre-receive")],
    trust_root: Annotated[str, typer.Option(help="The digest of policy 0.")],
) -> None:
    """Judge a push, inside the server's hook; `init --ctrl` installs it."""
    from placet import wire

    if kind != "pre-receive":
        raise typer.BadParameter("only pre-receive")
    wire.judge_push(sys.stdin.read(), trust_root)

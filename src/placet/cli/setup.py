"""Commands that set up: init, keygen, demo."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from placet.cli.output import output

if TYPE_CHECKING:
    from rich.console import Console


@click.command()
@click.argument(
    "path",
    type=click.Path(path_type=Path),
    default=Path(),
    help="The project, or with --ctrl the bare repository.",
)
@click.option("--ctrl", is_flag=True, help="Make an empty Git repository a Ctrl repository.")
@click.option("--forge", is_flag=True, help="The same on the forge of placet.toml, and protect it there.")
@click.option("--policy", type=click.Path(path_type=Path), help="The policy to begin with.")
@click.option("--key", help="With --ctrl: the key of who may change the policy.")
@click.option("--tier", default="", help="With --ctrl: begin this tier's published branch.")
@click.option(
    "--create",
    is_flag=True,
    help="With --forge and --policy: make the repository, private, if it is not there.",
)
@click.option("--agent", multiple=True, help="With --forge: an account that publishes; may be repeated.")
@click.option(
    "--witness", multiple=True, help="With --forge: an account that pushes to `main` only; may be repeated."
)
@click.option("--no-agents", is_flag=True, help="With --forge: no account publishes from now on.")
@click.option(
    "--no-witnesses", is_flag=True, help="With --forge: no account pushes to `main` only from now on."
)
@click.option("--hook", help="With --forge: address of an agent's webhook.")
@click.option("--secret", type=click.Path(path_type=Path), help="With --hook: the file with its secret.")
def init(
    path: Path,
    ctrl: bool,
    forge: bool,
    policy: Path | None,
    key: str | None,
    tier: str,
    create: bool,
    agent: Sequence[str],
    witness: Sequence[str],
    no_agents: bool,
    no_witnesses: bool,
    hook: str | None,
    secret: Path | None,
) -> None:
    """Make this DVC project a node's workspace, or with --ctrl or --forge a repository a Ctrl repository.

    With --ctrl or --forge, prints the digest of policy 0: every party pins it as `trust_root`. With --forge
    also who may push: accounts of a kind of which none is named keep that right, whoever gave it.
    """
    from placet.client import Client
    from placet.wire import setup

    if ctrl and tier:
        with Client(path) as client:
            commit = client.begin_tier(tier)
        output.show({"commit": commit}, lambda found, console: console.print(found["commit"]))
    elif ctrl or forge:
        if forge:
            agents, witnesses = _named("agent", agent, no_agents), _named("witness", witness, no_witnesses)
            made = setup.init_forge(
                path, policy, create=create, agents=agents, witnesses=witnesses, hook=hook, secret=secret
            )
        elif policy is None or key is None:
            raise click.BadParameter("--ctrl needs --policy FILE and --key FILE.")
        else:
            made = setup.init_ctrl(path, policy, key)
        output.show(made, _begun)
    else:
        written = setup.init_workspace(path)
        output.show(
            {"settings": str(written)}, lambda found, console: console.print(f"Edit {found['settings']}")
        )


def _named(option: str, names: Sequence[str], none: bool) -> Sequence[str] | None:
    """The accounts of a kind; None: those that there are."""
    if names and none:
        raise click.BadParameter(f"--{option} names somebody, and --no-... says that there is nobody.")
    return names if names or none else None


def _begun(found: Mapping[str, str], console: Console) -> None:
    """What goes into the parties' placet.toml; the rest as its comment."""
    console.print(f'trust_root = "sha256:{found["trust_root"]}"')
    if found.get("may_push"):
        console.print(f"# These may push {found['may_push']}", markup=False, soft_wrap=True)


@click.command()
@click.argument("file", help="The new key file; never overwritten. Or ssh-agent:... or pkcs11:...")
@click.option("--passphrase", is_flag=True, help="Ask for a passphrase.")
def keygen(file: str, passphrase: bool) -> None:
    """Make a signing key (Ed25519), or find one in an agent or token, and print the line for the policy."""
    from placet.wire import setup

    secret = click.prompt("Passphrase", hide_input=True, confirmation_prompt=True) if passphrase else None
    public = setup.generate_key(file, secret.encode() if secret else None)
    output.show({"public": public}, lambda found, console: console.print(found["public"]))


@click.command()
@click.option("--keep", is_flag=True, help="Leave everything running, and say how to go on.")
@click.option(
    "--folder", type=click.Path(path_type=Path), help="Where to work; a temporary folder by default."
)
def demo(keep: bool, folder: Path | None) -> None:
    """Show the whole path on this machine, on real parts, and what must not work."""
    from placet.demo import run

    raise click.exceptions.Exit(run(folder, keep=keep, json_output=output.json))


@click.command(hidden=True)
@click.argument("folder", type=click.Path(path_type=Path), help="Where placet.toml is.")
def git_token(folder: Path) -> None:
    """Write a GitHub App's token to where Git reads it; Git's credential helper runs it."""
    from placet.config import load_settings
    from placet.wire.data import SystemClock
    from placet.wire.forge import renew_app_token

    renew_app_token(load_settings(folder), SystemClock())

"""The cast of the demo: keys, policy, Ctrl repository, and each party's settings."""

from __future__ import annotations

from pathlib import Path

from placet.demo.world import PUBLICATION, SITES, Party, World

_POLICY = """\
# Who may let what out. Read docs/reference/policy.md.
version: 1
project: diabetes
people:
  dana:
    name: Dana Okafor, data protection officer
    organisation: consortium
    keys: ["{dana}"]
  alice:
    name: Alice Brandt, data steward
    organisation: hospital-a
    keys: ["{alice}"]
  bob:
    name: Bob Lindqvist, data steward
    organisation: hospital-b
    keys: ["{bob}"]
  erin:
    name: Erin Vos, data protection officer; her key is kept in a safe
    organisation: consortium
    keys: ["ed25519:QljXm8615coMXDIpczJIot/81kZNCLzdpanQjVbqzVw="]
groups:
  stewards:
    members: [alice, bob]
    sees: bytes
  trustees:
    members: [dana, alice, bob, erin]
    sees: report
nodes:
  site-a:
    organisation: hospital-a
    keys: ["{site_a}"]
    paths: ["outputs/**"]
  site-b:
    organisation: hospital-b
    keys: ["{site_b}"]
    paths: ["outputs/**"]
tiers:
  publication-storage:
    url: s3://{bucket}/dvc
    endpointurl: {endpoint}
rules:
  - name: calibration
    paths: ["*/outputs/calibration.bin"]
    approvals: [{{count: 2, groups: [stewards], organisations: 2, bytes: 1}}]
    limits: {{bytes: 1000, files: 1, rows: 1, types: [any]}}
    expires_days: 7
  - name: aggregates
    paths: ["*/outputs/**"]
    approvals: [{{count: 2, groups: [stewards], organisations: 2, bytes: 1}}]
    limits: {{bytes: 100000000, files: 2000, rows: 20000, types: [csv, parquet, pickle, text]}}
    checks: [formulas, pickle, secrets, type]
    options: {{pickle: {{allow: [numpy, sklearn]}}}}
    expires_days: 30
governance:
  freeze: [trustees]
  policy: [{{count: 2, groups: [trustees], organisations: 2}}]
"""


def make_keys(world: World) -> None:
    """A signing key for each party that signs; private keys never leave their folders."""
    for name in ("dana", "alice", "bob", *SITES):
        party = world[name]
        party.public = party.placet("keygen", str(party.folder / f"{name}.key")).json["public"]


def begin(world: World) -> dict[str, str]:
    """Write policy 0 and make the Ctrl repository; returns what `placet init --ctrl` printed."""
    dana = world["dana"]
    policy = dana.folder / "policy.yaml"
    policy.write_text(
        _POLICY.format(
            dana=dana.public,
            alice=world["alice"].public,
            bob=world["bob"].public,
            site_a=world["site-a"].public,
            site_b=world["site-b"].public,
            bucket=PUBLICATION,
            endpoint=world.store.endpoint,
        )
    )
    arguments = ("--policy", str(policy), "--key", str(dana.folder / "dana.key"))
    made: dict[str, str] = dana.placet("init", "--ctrl", str(world.ctrl_path), *arguments).json
    world.trust_root = made["trust_root"]
    policy.write_text(made["policy"])
    return made


def settle(world: World) -> None:
    """Give each party its settings, DVC project and credentials: each only what it needs."""
    for name in ("dana", "alice", "bob"):
        _person(world, world[name])
    for site in SITES:
        node, agent = world[site], world[f"{site}-agent"]
        bucket = f"internal-{site}"
        workspace = node.folder / "workspace"
        world.project(node, workspace, {"internal-storage": world.remote(bucket, f"{site}-job")}, git=True)
        own = [f'node = "{site}"', f'key = "{node.folder / f"{site}.key"}"', 'internal = "internal-storage"']
        world.settings(workspace, own)
        remotes = {
            "internal-storage": world.remote(bucket, f"{site}-promoter"),
            "publication-storage": world.remote(PUBLICATION, f"{site}-promoter"),
        }
        world.project(agent, agent.folder, remotes, git=False)
        world.settings(agent.folder, own)


def workspace(party: Party) -> Path:
    """Where a node's jobs write."""
    return party.folder / "workspace"


def _person(world: World, party: Party) -> None:
    lines = [f'person = "{party.name}"', f'key = "{party.name}.key"']
    reads = {"alice": "site-a", "bob": "site-b"}.get(party.name)
    if reads:
        remote = f"internal-{reads}"
        world.project(party, party.folder, {remote: world.remote(remote, party.name)}, git=False)
        lines += ["[internal]", f'{reads} = "{remote}"']
    world.settings(party.folder, lines)

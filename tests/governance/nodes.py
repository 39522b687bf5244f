"""A node's workspace as its operator sets it up: settings, DVC remotes on this disk, and maybe a key."""

from datetime import UTC, datetime
from pathlib import Path

from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from governance.lab import TIER, Lab
from keys import Key
from placet.adapters.objects.local import LocalStore


class Site:
    """Node site-b: its Ctrl repository on real Git, its two tiers in folders, and machines that work for it."""

    def __init__(self, folder: Path, *edits: tuple[str, str]) -> None:
        self.folder = folder
        self.stores = {name: folder / name for name in ("internal-storage", TIER)}
        for one in self.stores.values():
            one.mkdir()
        tier = ('url: "s3://pub/x", endpointurl: "http://127.0.0.1:1"', f'url: "{self.stores[TIER]}"')
        self.lab = Lab.make(folder, tier, *edits)
        self.lab.clock.time = datetime.now(UTC)  # machines take the time from theirs

    @property
    def source(self) -> LocalStore:
        """The internal tier."""
        return LocalStore(self.stores["internal-storage"])

    def published(self) -> set[str]:
        """The keys in the publication tier."""
        return {one.key for one in LocalStore(self.stores[TIER]).list("")}

    def machine(self, name: str, *, key: bool = False) -> Path:
        """A workspace on some machine of the node; only that of its agent has the signing key."""
        folder = self.folder / name
        (folder / ".dvc").mkdir(parents=True)
        remotes = [f"['remote \"{one}\"']\n    url = {path}\n" for one, path in self.stores.items()]
        (folder / ".dvc" / "config").write_text("[core]\n    no_scm = True\n" + "".join(remotes))
        lines = [
            'node = "site-b"',
            f'ctrl = "{self.folder / "ctrl.git"}"',
            f'trust_root = "{self.lab.trust_root}"',
            "[internal]",
            'site-b = "internal-storage"',
        ]
        if key:
            pem = Key("site-b")._key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
            (folder / "key").write_bytes(pem)
            (folder / "key").chmod(0o600)
            lines.insert(0, 'key = "key"')
        (folder / "placet.toml").write_text("\n".join(lines) + "\n")
        return folder

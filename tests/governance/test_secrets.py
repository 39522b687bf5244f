"""Planted secrets: whatever fails, none is seen in an output, a log, a commit, a file of ours or a list of processes."""

import os
import shutil
import subprocess
import sys

import pytest

from governance.lab import ENV
from governance.test_review import everything_in
from placet.adapters import keys
from placet.config import load_settings
from placet.errors import Invalid

SECRETS = {
    "PLACET_PASSPHRASE": "passphrase-quartz-4711",
    "PLACET_PIN": "pin-obsidian-4712",
    "AWS_ACCESS_KEY_ID": "AKIAPLANTEDGRANITE",
    "AWS_SECRET_ACCESS_KEY": "secret-feldspar-4713",
    "AWS_SESSION_TOKEN": "token-olivine-4714",
}
IN_FILES = {"secret_access_key": "file-basalt-4715", "session_token": "file-gneiss-4716"}
WRONG = "passphrase-wrong-marble-4717"


class Site:
    """A node's workspace with secrets in its environment and in DVC's local configuration."""

    def __init__(self, lab, folder, seaweed):
        self.lab, self.folder = lab, folder
        self.home = folder / "home"
        self.project = folder / "project"
        (self.project / ".dvc").mkdir(parents=True)
        (self.project / "outputs").mkdir()
        (self.project / "outputs" / "a.csv").write_text("a,b\n1,2\n")
        remote = seaweed.remote("source", "writer")
        self.project.joinpath(".dvc", "config").write_text(
            f"['remote \"internal-storage\"']\nurl = {remote['url']}\nendpointurl = {remote['endpointurl']}\n"
            f"['remote \"none\"']\nurl = s3://none/x\nendpointurl = http://127.0.0.1:1\n"
        )
        local = "".join(f"{key} = {value}\n" for key, value in IN_FILES.items())
        self.project.joinpath(".dvc", "config.local").write_text(
            f"['remote \"internal-storage\"']\naccess_key_id = {remote['access_key_id']}\n{local}"
        )
        keys.generate(folder / "node.key", SECRETS["PLACET_PASSPHRASE"].encode())
        self.body = (folder / "node.key").read_text().splitlines()[1]
        self.project.joinpath("placet.toml").write_text(
            f'node = "site-b"\nctrl = "{lab.folder / "ctrl.git"}"\ntrust_root = "sha256:{lab.trust_root}"\n'
            f'key = "{folder / "node.key"}"\ninternal = "internal-storage"\n'
        )
        self.arguments = folder / "argv"
        shims = folder / "bin"
        shims.mkdir()
        real = shutil.which("git")
        (shims / "git").write_text(
            f'#!/bin/sh\nprintf "%s\\n" "$*" >> "{self.arguments}"\nexec "{real}" "$@"\n'
        )
        (shims / "git").chmod(0o755)
        self.env = {**ENV, **SECRETS, "PLACET_HOME": str(self.home), "PATH": f"{shims}:{os.environ['PATH']}",
                    "DVC_SITE_CACHE_DIR": str(folder / "site"), "HOME": str(folder)}  # fmt: skip

    def placet(self, *argv, **env):
        command = [sys.executable, "-m", "placet", *argv]
        told = {**self.env, **{key: value for key, value in env.items() if value is not None}}
        for key in [key for key, value in env.items() if value is None]:
            told.pop(key, None)
        done = subprocess.run(
            command, cwd=self.project, env=told, capture_output=True, check=False, stdin=subprocess.DEVNULL
        )
        return done.returncode, done.stdout + done.stderr

    def secrets(self):
        return [*SECRETS.values(), *IN_FILES.values(), WRONG, self.body]

    def written(self):
        """Every file that Placet wrote, but for those where the secrets were planted."""
        planted = {self.project / ".dvc" / "config.local", self.folder / "node.key"}
        files = (one for one in self.folder.rglob("*") if one.is_file() and one not in planted)
        return b"".join(one.read_bytes() for one in files)


@pytest.mark.stack
def test_no_secret_is_ever_seen(lab, tmp_path_factory, seaweed):
    site = Site(lab, tmp_path_factory.mktemp("site"), seaweed)
    said = b""
    for code, argv, env in (
        (0, ("track", "outputs/a.csv", "-v"), {}),
        (12, ("push", "-v"), {}),
        (12, ("propose", "outputs/a.csv", "-m", "x", "-v"), {}),
        (1, ("push", "-r", "none", "-v", "--json"), {}),
        (1, ("doctor", "-v"), {}),
        (1, ("doctor", "--json"), {"PLACET_PASSPHRASE": WRONG}),
        (12, ("withdraw", lab.propose(), "-v"), {"PLACET_PASSPHRASE": WRONG}),
        (12, ("withdraw", lab.propose(), "-v", "--json"), {"PLACET_PASSPHRASE": None}),
        (2, ("list", "-v"), {"PLACET_KEY": f"pkcs11:object=a?module-path=/x.so&pin-value={SECRETS['PLACET_PIN']}"}),
        (2, ("list", "--json"), {"PLACET_CTRL": f"https://me:{WRONG}@127.0.0.1:1/ctrl.git"}),
        (2, ("keygen", "pkcs11:object=a;more?module-path=/none.so", "-v"), {}),
        (1, ("keygen", "pkcs11:object=a?module-path=/none.so", "-v"), {}),
        (1, ("list", "-v"), {"PLACET_CTRL": "https://127.0.0.1:1/ctrl.git"}),
    ):  # fmt: skip
        found, text = site.placet(*argv, **env)
        assert found == code, (argv, found, text.decode())
        assert text
        said += text
    places = {
        "output": said,
        "files": site.written(),
        "processes": site.arguments.read_bytes(),
        "Ctrl repository": everything_in(lab.folder / "ctrl.git"),
    }
    shown = {
        "output": b"outputs/a.csv",
        "files": b"trust_root",
        "processes": b"fetch",
        "Ctrl repository": b"propose ",
    }
    assert all(word in places[name] for name, word in shown.items()), "the search finds what is there"
    for name, data in places.items():
        for secret in site.secrets():
            assert secret.encode() not in data, (name, secret)


def test_a_password_in_the_url_is_refused_without_repeating_it(tmp_path):
    for url in ("https://me:hunter2@git.example.org/x", "SSH://me:hunter2@h/x", "https://:hunter2@h/x"):
        with pytest.raises(Invalid) as caught:
            load_settings(tmp_path, {"PLACET_CTRL": url})
        assert "hunter2" not in str(caught.value)
    for url in ("git@git.example.org:x", "https://me@git.example.org/x", "ssh://git@h:22/x", "/a/b:c@d"):
        assert load_settings(tmp_path, {"PLACET_CTRL": url}).ctrl == url

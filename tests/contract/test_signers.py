"""Every signer does the same: files, a real ssh-agent, a real PKCS#11 token (SoftHSM); and says well what is wrong."""

import asyncio
import base64
import gc
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from placet.adapters import keys, keys_agent, keys_pkcs11
from placet.errors import Conflict, Invalid, NotFound, Refused, Unavailable
from placet.testing.signer_suite import SignerSuite
from placet.wire.keys import signer as open_signer
from placet.wire.setup import generate_key

MODULES = (
    "/usr/lib/softhsm/libsofthsm2.so",
    "/usr/lib64/libsofthsm2.so",
    "/usr/local/lib/softhsm/libsofthsm2.so",
)
MODULE = next((one for one in MODULES if Path(one).exists()), "")
PIN = "pin-4711-secret"
needs_agent = pytest.mark.skipif(
    not (shutil.which("ssh-agent") and shutil.which("ssh-add") and shutil.which("ssh-keygen")),
    reason="ssh-agent is not installed here (Debian: openssh-client)",
)
needs_hsm = pytest.mark.skipif(
    not MODULE, reason="SoftHSM is not installed here (Debian: softhsm2); see `make test-hsm`"
)


def kind_of(error, call, *arguments):
    with pytest.raises(error) as caught:
        call(*arguments)
    return caught.value.kind


class TestFile(SignerSuite):
    @pytest.fixture
    def signer(self, tmp_path):
        keys.generate(tmp_path / "key.pem", b"open sesame")
        return keys.load(tmp_path / "key.pem", b"open sesame")

    @pytest.fixture
    def secrets(self, tmp_path):
        return ["open sesame"]


class Agent:
    """An own ssh-agent in a folder, with what `ssh-add` gives it."""

    def __init__(self, folder):
        self.folder = folder
        self.socket = str(folder / "s")
        self.process = subprocess.Popen(["ssh-agent", "-D", "-a", self.socket], stdout=subprocess.DEVNULL)
        while not Path(self.socket).exists():
            assert self.process.poll() is None

    def add(self, name, kind="ed25519", *options):
        file = self.folder / f"{name}-{kind}"
        subprocess.run(["ssh-keygen", "-q", "-t", kind, "-N", "", "-C", name, "-f", file], check=True)
        self.run("ssh-add", "-q", *options, file)
        return file

    def run(self, *argv, env=None, text=None):
        told = {**os.environ, "SSH_AUTH_SOCK": self.socket, **(env or {})}
        return subprocess.run(argv, env=told, input=text, check=True, capture_output=True, text=True).stdout

    def ask_pass(self, words):
        """What answers for the person: a program that `ssh-add` and the agent call."""
        program = self.folder / "askpass"
        program.write_text(f"#!/bin/sh\n{words}\n")
        program.chmod(0o700)
        return {"SSH_ASKPASS": str(program), "SSH_ASKPASS_REQUIRE": "force", "DISPLAY": "x"}

    def close(self):
        self.process.kill()
        self.process.wait()


@pytest.fixture
def agent(tmp_path_factory):
    folder = tmp_path_factory.mktemp("a")
    made = Agent(folder)
    yield made
    made.close()


@needs_agent
class TestAgent(SignerSuite):
    @pytest.fixture
    def signer(self, agent):
        agent.add("alice")
        return keys_agent.load("alice", agent.socket)

    @pytest.fixture
    def secrets(self, agent):
        file = agent.folder / "alice-ed25519"
        return [file.read_text().splitlines()[2]] if file.exists() else ["BEGIN"]

    def test_its_names(self, agent):
        file = agent.add("alice")
        signer = keys_agent.load("alice", agent.socket)
        fingerprint = agent.run("ssh-add", "-l").split()[1]
        line = file.with_suffix(".pub").read_text().split()[1]
        assert base64.b64decode(line)[-32:] == base64.b64decode(signer.public.partition(":")[2])
        for name in ("", fingerprint, signer.public):
            assert keys_agent.load(name, agent.socket).public == signer.public

    def test_a_key_that_is_not_there(self, agent):
        agent.add("alice")
        with pytest.raises(NotFound) as caught:
            keys_agent.load("bob", agent.socket)
        assert caught.value.kind == "no-key"
        assert "'alice' (SHA256:" in caught.value.why

    def test_two_of_one_name(self, agent):
        agent.add("same")
        (agent.folder / "same-ed25519").rename(agent.folder / "first")
        agent.add("same")
        with pytest.raises(Conflict) as caught:
            keys_agent.load("same", agent.socket)
        assert caught.value.kind == "ambiguous-key"
        fingerprint = caught.value.mend.split(", ")[-1]
        assert keys_agent.load(fingerprint, agent.socket).public
        assert kind_of(Conflict, keys_agent.load, "", agent.socket) == "ambiguous-key"

    @pytest.mark.parametrize(("kind", "name"), [("ecdsa", "ecdsa-sha2-nistp256"), ("rsa", "ssh-rsa")])
    def test_other_types_are_refused_by_name(self, agent, kind, name):
        agent.add("alice", kind)
        with pytest.raises(Refused) as caught:
            keys_agent.load("alice", agent.socket)
        assert caught.value.kind == "key-type"
        assert name in caught.value.what
        assert kind_of(NotFound, keys_agent.load, "", agent.socket) == "no-key"

    def test_a_locked_agent(self, agent):
        agent.add("alice")
        signer = keys_agent.load("alice", agent.socket)
        env = agent.ask_pass("echo lock-word")
        agent.run("ssh-add", "-x", env=env)
        with pytest.raises(NotFound) as caught:
            keys_agent.load("alice", agent.socket)
        assert "locked" in caught.value.why
        assert kind_of(Refused, signer.sign, b"x") == "key-refused"
        agent.run("ssh-add", "-X", env=env)
        assert len(signer.sign(b"x")) == 64

    def test_an_agent_that_is_gone(self, agent):
        agent.add("alice")
        signer = keys_agent.load("alice", agent.socket)
        agent.close()
        assert kind_of(Unavailable, signer.sign, b"x") == "ssh-agent"
        assert kind_of(Unavailable, keys_agent.load, "alice", agent.socket) == "ssh-agent"
        assert kind_of(Unavailable, keys_agent.load, "alice", None) == "ssh-agent"

    def test_a_key_that_was_taken_out(self, agent):
        agent.add("alice")
        signer = keys_agent.load("alice", agent.socket)
        agent.run("ssh-add", "-D")
        with pytest.raises(Refused) as caught:
            signer.sign(b"x")
        assert caught.value.kind == "key-refused"
        assert "alice" in caught.value.what

    @pytest.mark.parametrize(("answer", "signs"), [("exit 0", True), ("exit 1", False)])
    def test_a_key_that_wants_confirmation(self, tmp_path_factory, monkeypatch, answer, signs):
        folder = tmp_path_factory.mktemp("c")
        program = folder / "confirm"
        program.write_text(f"#!/bin/sh\n{answer}\n")
        program.chmod(0o700)
        monkeypatch.setenv("SSH_ASKPASS", str(program))
        monkeypatch.setenv("DISPLAY", "x")
        agent = Agent(folder)
        try:
            agent.add("alice", "ed25519", "-c")
            signer = keys_agent.load("alice", agent.socket)
            if signs:
                assert len(signer.sign(b"x")) == 64
            else:
                with pytest.raises(Refused) as caught:
                    signer.sign(b"x")
                assert "did not confirm" in caught.value.why
        finally:
            agent.close()

    def test_inside_an_event_loop(self, agent):
        agent.add("alice")

        async def notebook():
            return keys_agent.load("alice", agent.socket).sign(b"x")

        assert len(asyncio.run(notebook())) == 64

    def test_what_is_no_agent(self, tmp_path_factory):
        place = tmp_path_factory.mktemp("n") / "file"
        place.write_text("x")
        assert kind_of(Unavailable, keys_agent.load, "alice", str(place)) == "ssh-agent"

    def test_by_the_settings(self, agent, monkeypatch):
        agent.add("alice")
        monkeypatch.setenv("SSH_AUTH_SOCK", agent.socket)
        public = keys_agent.load("alice", agent.socket).public
        assert open_signer("ssh-agent:alice").public == generate_key("ssh-agent:alice", None) == public


@pytest.fixture(scope="module")
def token(tmp_path_factory):
    """A token with two Ed25519 keys and an ECDSA one."""
    folder = tmp_path_factory.mktemp("hsm")
    (folder / "tokens").mkdir()
    conf = folder / "softhsm2.conf"
    conf.write_text(
        f"directories.tokendir = {folder}/tokens\nobjectstore.backend = file\nlog.level = ERROR\n"
    )
    before = os.environ.get("SOFTHSM2_CONF")
    os.environ["SOFTHSM2_CONF"] = str(conf)
    make = [
        "softhsm2-util",
        "--init-token",
        "--free",
        "--label",
        "our token",
        "--pin",
        PIN,
        "--so-pin",
        "5678-8765",
    ]
    subprocess.run(make, check=True, capture_output=True)
    import pkcs11
    from pkcs11.util.ec import encode_named_curve_parameters

    with pkcs11.lib(MODULE).get_token(token_label="our token").open(user_pin=PIN, rw=True) as session:
        for kind, curve, label, ident in (
            (pkcs11.KeyType.EC_EDWARDS, "1.3.101.112", "alice", b"\x01"),
            (pkcs11.KeyType.EC_EDWARDS, "1.3.101.112", "twice", b"\x02"),
            (pkcs11.KeyType.EC_EDWARDS, "1.3.101.112", "twice", b"\x03"),
            (pkcs11.KeyType.EC, "secp256r1", "ecdsa", b"\x04"),
        ):
            parameters = session.create_domain_parameters(
                kind, {pkcs11.Attribute.EC_PARAMS: encode_named_curve_parameters(curve)}, local=True
            )
            made = (
                {} if kind is pkcs11.KeyType.EC else {"mechanism": pkcs11.Mechanism.EC_EDWARDS_KEY_PAIR_GEN}
            )
            parameters.generate_keypair(store=True, label=label, id=ident, **made)
    yield "pkcs11:token=our%20token"
    os.environ.pop("SOFTHSM2_CONF")
    if before is not None:
        os.environ["SOFTHSM2_CONF"] = before


@needs_hsm
class TestToken(SignerSuite):
    @pytest.fixture(autouse=True)
    def sessions(self, token, monkeypatch):
        """Every session of a test is closed after it: that logs the process out."""
        opened, log_in = [], keys_pkcs11._log_in
        monkeypatch.setattr(
            keys_pkcs11, "_log_in", lambda *given: opened.append(log_in(*given)) or opened[-1]
        )
        yield opened
        gc.collect()
        for session in opened:
            session.close()

    @pytest.fixture
    def signer(self, token, sessions):
        return self.load(f"{token};object=alice")

    @pytest.fixture
    def secrets(self):
        return [PIN]

    def load(self, key, pin=PIN):
        return keys_pkcs11.load(keys_pkcs11.parse_uri(f"{key}?module-path={MODULE}"), lambda: pin)

    def test_its_names(self, token, signer):
        assert self.load(f"{token};id=%01").public == signer.public
        assert self.load(f"{token};id=%02").public != self.load(f"{token};id=%03").public

    def test_what_is_wrong_is_said(self, token):
        assert kind_of(NotFound, self.load, f"{token};object=bob") == "no-key"
        assert kind_of(NotFound, self.load, "pkcs11:token=other;object=alice") == "no-token"
        assert kind_of(Conflict, self.load, f"{token};object=twice") == "ambiguous-key"
        with pytest.raises(Refused) as caught:
            self.load(f"{token};object=ecdsa")
        assert caught.value.kind == "key-type" and "type EC." in caught.value.what

    def test_a_wrong_pin(self, token):
        with pytest.raises(Refused) as caught:
            self.load(f"{token};object=alice", "wrong-pin-1")
        assert caught.value.kind == "key-pin"
        assert "wrong-pin-1" not in str(caught.value) and "PLACET_PIN" in caught.value.mend

    def test_a_module_that_is_none(self, tmp_path):
        uri = keys_pkcs11.parse_uri(f"pkcs11:object=x?module-path={tmp_path}/none.so")
        assert kind_of(Unavailable, keys_pkcs11.load, uri, lambda: PIN) == "pkcs11-module"

    def test_by_the_settings(self, token, signer, tmp_path, monkeypatch):
        key = f"{token};object=alice?module-path={MODULE}"
        monkeypatch.setenv("PLACET_PIN", PIN)
        assert open_signer(key).public == signer.public
        monkeypatch.delenv("PLACET_PIN")
        source = tmp_path / "pin"
        source.touch(mode=0o600)
        source.write_text(f"{PIN}\n")
        assert open_signer(f"{key}&pin-source=file:{source}").public == signer.public
        source.chmod(0o644)
        assert kind_of(Refused, open_signer, f"{key}&pin-source=file:{source}") == "key-permissions"

    def test_without_a_pin_private_keys_are_not_seen(self, token):
        assert kind_of(NotFound, open_signer, f"{token};object=alice?module-path={MODULE}") == "no-key"


@pytest.mark.parametrize(
    "text",
    [
        "pkcs11:object=a",
        "pkcs11:token=t?module-path=/x.so",
        "pkcs11:object=a;object=b?module-path=/x.so",
        "pkcs11:object=a;color=red?module-path=/x.so",
        "pkcs11:object=a?module-path=/x.so&pin-value=hunter2",
        "pkcs11:object=a;pin-value=hunter2?module-path=/x.so",
        "pkcs11:object?module-path=/x.so",
    ],
)
def test_a_uri_that_cannot_be_used(text):
    with pytest.raises(Invalid) as caught:
        keys_pkcs11.parse_uri(text)
    assert caught.value.kind == "key-uri"
    assert "hunter2" not in str(caught.value)


def test_a_passphrase_is_typed_unseen(tmp_path):
    """On a real terminal: the prompt is shown, what is typed is not, and the key opens."""
    path = tmp_path / "key.pem"
    public = keys.generate(path, b"typed-basalt").public
    master, slave = os.openpty()
    told = {key: value for key, value in os.environ.items() if key != "PLACET_PASSPHRASE"}
    process = subprocess.Popen(
        [sys.executable, "-c", f"from pathlib import Path; from placet.wire.keys import signer; print(signer(Path({str(path)!r})).public)"],
        stdin=slave, stderr=slave, stdout=subprocess.PIPE, env=told, start_new_session=True,
    )  # fmt: skip
    os.close(slave)
    shown = b""
    for word in (b"wrong-granite\n", b"typed-basalt\n"):
        while shown.count(b"Passphrase of") < (1 if word.startswith(b"wrong") else 2):
            shown += os.read(master, 4096)
        os.write(master, word)
    out, _ = process.communicate(timeout=60)
    os.close(master)
    assert out.decode().strip() == public
    assert b"basalt" not in shown and b"granite" not in shown

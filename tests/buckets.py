"""Buckets with identities on a real S3 server, whichever it is: what the fixture `seaweed` gives."""

import itertools

from placet.testing.seaweed import Identity


class Buckets:
    """One server for the whole run; on SeaweedFS a bucket takes seven volumes, so tests share them by prefix."""

    def __init__(self, server) -> None:
        self.server = server
        self._numbers = itertools.count()
        for name in ("source", "target"):
            server.create_bucket(name)
        server.create_bucket("versioned", versioned=True)
        server.deny("versioned", ["promoter", "reader"], hide_versions=["reader"])

    def remote(self, bucket: str, identity: str = "writer", prefix: str | None = None) -> dict[str, str]:
        """A DVC remote under a prefix that no other test uses."""
        access, secret = self.server.credentials(identity)
        prefix = prefix or f"p{next(self._numbers)}"
        return {
            "url": f"s3://{bucket}/{prefix}",
            "endpointurl": self.server.endpoint,
            "access_key_id": access,
            "secret_access_key": secret,
        }


def _rights(*buckets: str, write: bool) -> tuple[str, ...]:
    verbs = ("Read", "List", "Write") if write else ("Read", "List")
    return tuple(f"{verb}:{bucket}" for bucket in buckets for verb in verbs)


IDENTITIES = {
    "writer": Identity(_rights("source", "target", "versioned", write=True)),
    "promoter": Identity(_rights("source", write=False) + _rights("versioned", write=True)),
    "alone": Identity(_rights("target", write=True)),
    "reader": Identity(_rights("versioned", write=False)),
}

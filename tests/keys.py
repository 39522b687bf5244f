"""Signers from fixed seeds, so that every byte of a test is reproducible."""

import base64
from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from placet.core.digest import sha256_hex


@dataclass(frozen=True)
class Key:
    name: str

    @property
    def _key(self) -> Ed25519PrivateKey:
        return Ed25519PrivateKey.from_private_bytes(bytes.fromhex(sha256_hex(self.name.encode())))

    @property
    def public(self) -> str:
        raw = self._key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
        return f"ed25519:{base64.b64encode(raw).decode()}"

    def sign(self, message: bytes) -> bytes:
        return self._key.sign(message)

    @property
    def pair(self):
        return self.public, self.sign


POLICY = f"""\
version: 1
repository: "{"ab" * 16}"
number: 0
previous: null
project: test
people:
  alice: {{name: Alice, organisation: org-a, keys: ["{Key("alice").public}", "{Key("alice-2").public}"]}}
  bob: {{name: Bob, organisation: org-b, keys: ["{Key("bob").public}"]}}
  carol: {{name: Carol, organisation: org-a, keys: ["{Key("carol").public}"]}}
  dana: {{name: Dana, organisation: org-c, keys: ["{Key("dana").public}"]}}
groups:
  stewards: {{members: [alice, bob, carol], sees: bytes}}
  trustees: {{members: [alice, bob, dana], sees: report}}
nodes:
  site-a: {{organisation: org-a, keys: ["{Key("site-a").public}"], paths: ["outputs/**"], operators: [carol]}}
  site-b: {{organisation: org-b, keys: ["{Key("site-b").public}"], paths: ["outputs/**"]}}
tiers:
  publication-storage: {{url: "s3://pub/x", endpointurl: "http://127.0.0.1:1"}}
rules:
  - name: default
    paths: ["*/outputs/**"]
    approvals: [{{count: 2, groups: [stewards], organisations: 2, bytes: 1}}]
    limits: {{bytes: 1000000, files: 100}}
    expires_days: 30
governance:
  policy: [{{count: 2, groups: [trustees], organisations: 2}}]
"""

import base64
import json

import pytest

from keys import Key
from placet.core import envelope as dsse
from placet.errors import Invalid

PAYLOAD = b'{"a": 1}'


def edited(change):
    value = json.loads(dsse.sign(PAYLOAD, Key("alice").pair).to_bytes())
    change(value)
    return json.dumps(value).encode()


def test_pae_is_the_specifications_vector():
    assert dsse.pae("http://example.com/HelloWorld", b"hello world") == (
        b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"
    )


def test_pae_counts_bytes_not_characters():
    assert dsse.pae("application/é", "ü".encode()) == "DSSEv1 14 application/é 2 ü".encode()


def test_a_signature_holds_for_its_key_and_payload_only():
    envelope = dsse.parse_envelope(dsse.sign(PAYLOAD, Key("alice").pair).to_bytes())
    assert envelope.signed_by([Key("alice").public, Key("bob").public]) == {Key("alice").public}
    assert envelope.signed_by([Key("bob").public]) == frozenset()
    assert envelope.signed_by([]) == frozenset()
    other = dsse.Envelope(PAYLOAD + b" ", envelope.signatures)
    assert other.signed_by([Key("alice").public]) == frozenset()


def test_a_key_id_is_a_hint_that_nobody_can_borrow():
    signed = dsse.sign(PAYLOAD, Key("bob").pair)
    forged = dsse.Envelope(
        PAYLOAD, (dsse.Signature(dsse.key_id(Key("alice").public), signed.signatures[0].sig),)
    )
    assert forged.signed_by([Key("alice").public, Key("bob").public]) == frozenset()


def test_one_key_counts_once_however_often_it_signs():
    signed = dsse.sign(PAYLOAD, Key("alice").pair, Key("alice").pair, Key("bob").pair)
    assert len(signed.signed_by([Key("alice").public, Key("bob").public])) == 2


def test_envelopes_are_malleable_and_payload_digests_are_not():
    signed = dsse.sign(PAYLOAD, Key("alice").pair, Key("bob").pair)
    again = json.dumps(json.loads(signed.to_bytes()), separators=(",", ":")).encode()
    fewer = dsse.Envelope(PAYLOAD, signed.signatures[:1])
    assert dsse.parse_envelope(again).digest == fewer.digest == signed.digest
    assert again != signed.to_bytes()


@pytest.mark.parametrize(
    "change",
    [
        lambda one: one.update(more=1),
        lambda one: one.pop("payloadType"),
        lambda one: one.update(payloadType="text/plain"),
        lambda one: one.update(signatures=[]),
        lambda one: one.update(signatures="x"),
        lambda one: one.update(signatures=one["signatures"] * 17),
        lambda one: one.update(signatures=[{"keyid": "x"}]),
        lambda one: one.update(signatures=[{"keyid": 1, "sig": "AA=="}]),
        lambda one: one.update(signatures=["x"]),
        lambda one: one.update(payload="not base64!"),
        lambda one: one.update(payload=1),
    ],
)
def test_other_forms_are_refused(change):
    with pytest.raises(Invalid) as caught:
        dsse.parse_envelope(edited(change))
    assert caught.value.kind == "envelope"


@pytest.mark.parametrize(
    "text",
    [
        b'{"a": 1, "a": 2}',
        b'{"a": {"b": 1, "b": 1}}',
        b"1.5",
        b"1e3",
        b"NaN",
        b"-Infinity",
        str(1 << 53).encode(),
        b"9" * 5000,
        b"[" * 100_000,
        b"\xff",
        b"",
        b"{",
    ],
)
def test_json_that_two_readers_could_read_differently_is_refused(text):
    with pytest.raises(Invalid) as caught:
        dsse.strict_json(text)
    assert caught.value.kind == "json"


def test_the_largest_whole_number_is_read():
    assert dsse.strict_json(str((1 << 53) - 1).encode()) == (1 << 53) - 1


def test_sizes_are_bounded():
    with pytest.raises(Invalid):
        dsse.sign(b"x" * (dsse.MAX_PAYLOAD + 1), Key("alice").pair)
    with pytest.raises(Invalid):
        dsse.parse_envelope(b" " * (dsse.MAX_ENVELOPE + 1))
    with pytest.raises(Invalid):
        dsse.parse_envelope(b"[]")


@pytest.mark.parametrize(
    "text",
    ["", "ed25519:", "ed25519:AAAA", "rsa:" + "A" * 44, "ed25519:" + "!" * 44, "ed25519:" + "A" * 42 + "B="],
)
def test_what_is_no_public_key(text):
    with pytest.raises(Invalid) as caught:
        dsse.key_bytes(text)
    assert caught.value.kind == "public-key"


def test_a_public_key_has_one_spelling():
    raw = dsse.key_bytes(Key("alice").public)
    assert f"ed25519:{base64.b64encode(raw).decode()}" == Key("alice").public

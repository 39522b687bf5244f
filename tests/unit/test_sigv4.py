"""AWS's own examples: "Signature Calculations for the Authorization Header", Amazon S3 API reference."""

from datetime import UTC, datetime

import pytest

from placet.adapters.objects.sigv4 import Credentials, encode_path, encode_query, sign
from placet.core.digest import sha256_hex

WHO = Credentials("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY")
WHEN = datetime(2013, 5, 24, tzinfo=UTC)
HOST = {"host": "examplebucket.s3.amazonaws.com"}
PUT = {**HOST, "date": "Fri, 24 May 2013 00:00:00 GMT", "x-amz-storage-class": "REDUCED_REDUNDANCY"}
EXAMPLES = {
    "get-object": (
        ("GET", "/test.txt", [], {**HOST, "range": "bytes=0-9"}, b""),
        "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41",
    ),
    "put-object": (
        ("PUT", "/test$file.text", [], PUT, b"Welcome to Amazon S3."),
        "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd",
    ),
    "get-bucket-lifecycle": (
        ("GET", "/", [("lifecycle", "")], HOST, b""),
        "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543",
    ),
    "list-objects": (
        ("GET", "/", [("prefix", "J"), ("max-keys", "2")], HOST, b""),
        "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7",
    ),
}


def _signed(method, path, query, headers, body, who=WHO):
    return sign(
        who, "us-east-1", WHEN, method=method, path=encode_path(path), query=encode_query(query),
        headers=headers, payload_sha256=sha256_hex(body),
    )  # fmt: skip


@pytest.mark.parametrize("name", EXAMPLES)
def test_aws_examples(name):
    request, signature = EXAMPLES[name]
    headers = _signed(*request)
    assert headers["x-amz-date"] == "20130524T000000Z"
    assert headers["authorization"].startswith(
        "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request,SignedHeaders="
    )
    assert headers["authorization"].endswith(f",Signature={signature}")


def test_a_session_token_is_sent_and_signed():
    who = Credentials(WHO.access_key, WHO.secret_key, "the-token")
    request, signature = EXAMPLES["get-object"]
    headers = _signed(*request, who=who)
    assert headers["x-amz-security-token"] == "the-token"
    assert ";x-amz-security-token," in headers["authorization"]
    assert signature not in headers["authorization"]


def test_secrets_do_not_show():
    shown = repr(Credentials("AK", "the-secret", "the-token"))
    assert "AK" in shown
    assert "the-secret" not in shown and "the-token" not in shown


def test_encoding_is_s3s():
    assert encode_path("/a b+c/é~%") == "/a%20b%2Bc/%C3%A9~%25"
    assert encode_query([("b", "x/y"), ("a", "1 2")]) == "a=1%202&b=x%2Fy"

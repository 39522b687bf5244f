"""Deliveries of forges: GitHub's published test vector, and its own payloads under every forge's header.

The payloads in `webhooks` are of npm `@octokit/webhooks-examples` 7.6.1 (MIT). Gitea itself sends in
`tests/gitea/test_webhook.py`.
"""

import hmac
import io
import json
from pathlib import Path

import pytest

from placet.agent.metrics import Metrics
from placet.agent.pages import Pages
from placet.agent.webhook import MAX_BODY, Webhook

SECRET = b"It's a Secret to Everybody"
VECTOR = b"Hello, World!"
SIGNED = "757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"
PAYLOADS = sorted((Path(__file__).parent / "webhooks").glob("*.json"))
FORGES = {
    "github": lambda value: {"X-Hub-Signature-256": f"sha256={value}"},
    "gitea": lambda value: {"X-Gitea-Signature": value},
    "forgejo": lambda value: {"X-Forgejo-Signature": value},
    "all": lambda value: {
        "X-Hub-Signature-256": f"sha256={value}",
        "X-Gitea-Signature": value,
        "X-Forgejo-Signature": value,
    },
}


class Agent:
    """The agent's pages, and how often it was woken."""

    def __init__(self):
        self.woken = 0
        webhook = Webhook(SECRET, self.wake)
        self.pages = Pages(Metrics(), alive=bool, ready=bool, late=list, webhook=webhook)

    def wake(self):
        self.woken += 1

    def deliver(self, body, headers):
        """The status of one delivery."""
        said = []
        environ = {
            "REQUEST_METHOD": "POST",
            "PATH_INFO": "/webhook",
            "wsgi.input": io.BytesIO(body),
            **{f"HTTP_{key.upper().replace('-', '_')}": one for key, one in headers.items()},
        }
        list(self.pages(environ, lambda status, _: said.append(status)))
        return int(said[0].split()[0])


@pytest.fixture
def agent():
    return Agent()


def sign(body, secret=SECRET):
    return hmac.digest(secret, body, "sha256").hex()


@pytest.mark.parametrize("forge", FORGES)
def test_githubs_published_vector_is_right_under_every_forges_header(agent, forge):
    assert agent.deliver(VECTOR, FORGES[forge](SIGNED)) == 204
    assert agent.deliver(VECTOR + b" ", FORGES[forge](SIGNED)) == 403
    assert agent.woken == 1


@pytest.mark.parametrize("forge", FORGES)
@pytest.mark.parametrize("file", PAYLOADS, ids=lambda file: file.stem)
def test_a_forges_own_payload_wakes_once_and_is_not_read(agent, file, forge):
    body = json.dumps(json.loads(file.read_bytes()), separators=(",", ":"), ensure_ascii=False).encode()
    for _ in range(2):
        assert agent.deliver(body, FORGES[forge](sign(body))) == 204
        assert agent.woken == 1


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"X-Hub-Signature-256": ""},
        {"X-Hub-Signature-256": "sha256="},
        {"X-Hub-Signature-256": f"sha256={sign(VECTOR, b'another secret')}"},
        {"X-Hub-Signature-256": f"sha256={SIGNED.upper()}"},
        {"X-Hub-Signature-256": f"sha1={SIGNED}"},
        {"X-Hub-Signature": f"sha256={SIGNED}"},
        {"X-Hub-Signature": f"sha1={hmac.digest(SECRET, VECTOR, 'sha1').hex()}"},
        {"X-Gitea-Signature": SIGNED[:-1]},
        {"X-Gitea-Signature": SIGNED + "0"},
        {"X-Gogs-Signature": SIGNED},
        {"Authorization": f"Bearer {SECRET.decode()}"},
    ],
)
def test_everything_else_is_refused(agent, headers):
    assert agent.deliver(VECTOR, headers) == 403
    assert agent.woken == 0


def test_a_signature_for_a_part_of_a_long_body_is_no_signature_of_it(agent):
    body = b"x" * (MAX_BODY + 1)
    assert agent.deliver(body, FORGES["github"](sign(body))) == 403


def test_there_are_payloads():
    assert [file.stem for file in PAYLOADS] == ["github-ping", "github-pull_request_review", "github-push"]

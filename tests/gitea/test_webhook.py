"""What Gitea itself sends to the agent's webhook: its signature is right, and a push wakes the agent."""

import queue
from dataclasses import replace

import pytest

from gitea.scene import GiteaScene
from placet.agent.metrics import Metrics
from placet.agent.pages import Pages, Server
from placet.agent.webhook import Webhook
from placet.testing.forge_suite import COMMISSION

pytestmark = pytest.mark.gitea

SECRET = "a secret of sixteen bytes or more"


class Counting(Webhook):
    """A webhook that says what came of each delivery."""

    def __init__(self, secret):
        super().__init__(secret, lambda: None)
        self.outcomes = queue.Queue()

    def take(self, body, signatures):
        found = list(signatures)
        outcome = super().take(body, found)
        self.outcomes.put((outcome, len(found)))
        return outcome


@pytest.fixture
def agent():
    webhook = Counting(SECRET.encode())
    server = Server(Pages(Metrics(), alive=bool, ready=bool, late=list, webhook=webhook), "127.0.0.1", 0)
    webhook.url = f"http://127.0.0.1:{server.sockets[0].effective_port}/webhook"
    yield webhook
    server.close()


@pytest.mark.parametrize("secret", [SECRET, "another secret that is long"])
def test_a_push_wakes_the_agent_if_both_know_the_secret(gitea, agent, tmp_path, secret):
    scene = GiteaScene(gitea, tmp_path)
    scene.forge.protect(replace(COMMISSION, hook=agent.url, secret=secret))
    scene.push("refs/heads/proposals/" + "1" * 32)
    outcome, signatures = agent.outcomes.get(timeout=60)
    assert outcome == ("accepted" if secret == SECRET else "refused")
    assert signatures >= 2
    scene.close()

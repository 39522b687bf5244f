"""What Gitea itself sends to the agent's webhook: its signature is right, and it wakes the agent."""

import threading

import pytest

from gitea import world
from placet.agent.metrics import Metrics
from placet.agent.pages import Pages, Server
from placet.agent.webhook import Webhook
from placet.ports import Commission

pytestmark = pytest.mark.gitea

SECRET = "a secret of sixteen bytes or more"


@pytest.fixture
def woken():
    return threading.Event()


@pytest.fixture
def hook(woken):
    metrics = Metrics()
    webhook = Webhook(SECRET.encode(), woken.set)
    server = Server(Pages(metrics, alive=bool, ready=bool, webhook=webhook), "127.0.0.1", 0)
    yield f"http://127.0.0.1:{server.sockets[0].effective_port}/webhook"
    server.close()


def test_a_push_wakes_the_agent(gitea, hook, woken):
    gitea.account("root")

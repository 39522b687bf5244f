"""The agent as a real process: it promotes, is woken, is told to stop, and one workspace does not stop another."""

import hmac
import signal

from agent.site import Agent, Site, ask

SECRET = b"0123456789abcdef0123456789abcdef"


def test_it_promotes_what_lands_and_stops_in_order(site):
    first = site.land()
    with Agent(site, "--interval", "0.2", "--listen", "0") as agent:
        port = agent.wait("listening")["port"]
        assert agent.wait("published")["proposal"] == first
        second = site.land("outputs/b.csv", b"b\n1\n")
        found = agent.wait("published")
        assert (found["proposal"], found["state"], found["objects"], found["bytes"]) == (second, "PUBLISHED", 1, 4)
        agent.wait("job-done")
        assert (ask(port, "/healthz"), ask(port, "/readyz")) == ((200, "ok\n"), (200, "ok\n"))
        text = ask(port, "/metrics")[1]
        assert agent.stop() == 0
    assert [one["event"] for one in agent.events[-2:]] == ["stopping", "stopped"]
    for line in ('promotions_total{result="published",workspace="%s"} 2.0', 'waiting_proposals{workspace="%s"} 0.0'):
        assert f"placet_agent_{line}" % site.folder in text

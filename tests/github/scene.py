"""A fake GitHub, and Placet's adapter on it."""

from contextlib import contextmanager
from functools import cache

import httpx
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from github.fake import FakeGitHub
from placet.adapters.forge.github import connect
from placet.adapters.forge.github_auth import App
from placet.adapters.forge.http import Place
from placet.ports import Account

TOKEN = "ghp_placet_token_0001"


@cache
def app_key():
    """A GitHub App's private key, as GitHub makes them."""
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def pem(key):
    return key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())


class GitHubScene:
    """What the contract's suite does on it; an App's instead of an account's with `app`."""

    def __init__(self, *, app=False, **hub):
        self.hub = FakeGitHub(**hub)
        self.hub.app_key = app_key().public_key()
        self.naps = []
        self.as_app = app
        credential = App("Iv1.placet", pem(app_key()), self.hub.now) if app else lambda: TOKEN
        self.forge = self.connect(credential)
        for name in (
            "account",
            "rename",
            "push",
            "cut",
            "review",
            "dismiss",
            "say",
            "draft",
            "land",
            "asked",
        ):
            setattr(self, name, getattr(self.hub, name))

    def connect(self, credential, repository="clinic/ctrl", **more):
        place = Place(self.hub.api, dict, self.hub.now, sleep=self.naps.append)
        return connect(place, repository, credential, transport=httpx.MockTransport(self._ask), **more)

    def _ask(self, request):
        if not self.hub.reachable:
            raise httpx.ConnectError("no route", request=request)
        path = request.url.raw_path.decode().partition("?")[0]
        reply = self.hub.ask(request.method, path, dict(request.url.params), request.headers, request.content)
        return httpx.Response(reply.status, headers=reply.headers, stream=httpx.ByteStream(reply.data))

    def me(self):
        return Account(977, "placet-app[bot]") if self.as_app else self.hub.account("placet-bot")

    def statuses(self, commit):
        sent = self.hub.statuses.get(commit, ())
        return [(one["state"], one["description"], one["target_url"]) for one in sent]

    def nowhere(self, *, organisation):
        """By a person's token, also where the scene's own forge is an App."""
        owner = "clinic" if organisation else "placet-bot"
        other = GitHubScene(owner=owner, there=False)
        return other.connect(lambda: TOKEN, f"{owner}/ctrl")

    @contextmanager
    def down(self):
        with self.hub.down():
            yield

    def requests(self):
        """What was asked since the last time."""
        found, self.hub.asked_for = self.hub.asked_for, []
        return found

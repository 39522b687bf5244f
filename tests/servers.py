"""Real servers of other protocols than S3, on loopback, each with one user `me` and a folder of its own."""

from __future__ import annotations

import asyncio
import secrets
import threading
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from http.server import BaseHTTPRequestHandler, SimpleHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qsl, unquote, urlsplit

import urllib3

from placet.adapters.objects.sigv4 import Credentials, encode_path, encode_query, sign
from placet.core.digest import sha256_hex

USER = "me"


@contextmanager
def listening(handler):
    """The address of a web server on loopback, each request handled by one `handler` in a thread."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@contextmanager
def sftp(folder):
    """OpenSSH's file protocol, by asyncssh: the options of a DVC remote on it."""
    import asyncssh

    password = secrets.token_hex(8)
    connections = []

    class Guard(asyncssh.SSHServer):
        def connection_made(self, connection):
            connections.append(connection)

        def begin_auth(self, username):
            return True

        def password_auth_supported(self):
            return True

        def validate_password(self, username, given):
            return (username, given) == (USER, password)

    async def listen():
        return await asyncssh.listen(
            "127.0.0.1",
            0,
            server_host_keys=[asyncssh.generate_private_key("ssh-ed25519")],
            server_factory=Guard,
            sftp_factory=partial(asyncssh.SFTPServer, chroot=str(folder).encode()),
        )

    async def close(server):
        server.close()
        for one in connections:
            one.abort()
            await one.wait_closed()
        await server.wait_closed()

    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    server = asyncio.run_coroutine_threadsafe(listen(), loop).result(30)
    try:
        yield {"url": f"ssh://127.0.0.1:{server.get_port()}/data", "user": USER, "password": password}
    finally:
        asyncio.run_coroutine_threadsafe(close(server), loop).result(30)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


@contextmanager
def webdav(folder):
    """WebDAV by WsgiDAV: the options of a DVC remote on it."""
    from cheroot.wsgi import Server
    from wsgidav.fs_dav_provider import FilesystemProvider
    from wsgidav.wsgidav_app import WsgiDAVApp

    password = secrets.token_hex(8)
    app = WsgiDAVApp(
        {
            "provider_mapping": {"/": FilesystemProvider(str(folder))},
            "simple_dc": {"user_mapping": {"*": {USER: {"password": password}}}},
            "verbose": 0,
            "logging": {"enable": False},
        }
    )
    server = Server(("127.0.0.1", 0), app, numthreads=16)
    server.prepare()
    thread = threading.Thread(target=server.serve)
    thread.start()
    try:
        yield {"url": f"webdav://127.0.0.1:{server.bind_addr[1]}/data", "user": USER, "password": password}
    finally:
        server.stop()
        thread.join()


class _Gcs(BaseHTTPRequestHandler):
    """Google's XML API in front of an S3 server: a bearer token, and generations for conditions.

    No emulator that PyPI, npm or the Go proxy have speaks this API for writes (gcp-storage-emulator 2026.7.19
    and fake-gcs-server 1.56.1 have the JSON API only), and it is the one that obstore speaks. The rest of it
    is S3's: https://cloud.google.com/storage/docs/interoperability
    """

    protocol_version = "HTTP/1.1"
    endpoint, credentials, token = "", Credentials("", ""), ""
    pool = urllib3.PoolManager(maxsize=32)

    def _any(self):
        body = self.rfile.read(int(self.headers.get("content-length", "0")))
        if self.headers.get("authorization") != f"Bearer {self.token}":
            return self._answer(401, {}, b"<Error><Code>AuthenticationRequired</Code></Error>")
        parts = urlsplit(self.path)
        path = encode_path(unquote(parts.path))
        query = encode_query(parse_qsl(parts.query, keep_blank_values=True))
        headers = {"host": urlsplit(self.endpoint).netloc}
        if self.headers.get("x-goog-if-generation-match") == "0":
            headers["if-none-match"] = "*"
        headers |= {key: self.headers[key] for key in ("range", "if-match") if key in self.headers}
        signed = sign(
            self.credentials, "us-east-1", datetime.now(UTC), method=self.command, path=path, query=query,
            headers=headers, payload_sha256=sha256_hex(body),
        )  # fmt: skip
        found = self.pool.request(
            self.command, f"{self.endpoint}{path}?{query}", headers=signed, body=body or None, retries=False
        )
        return self._answer(found.status, dict(found.headers), found.data)

    def _answer(self, status, headers, body):
        self.send_response(status)
        for name, value in headers.items():
            if name.lower() not in {"content-length", "transfer-encoding", "connection", "date", "server"}:
                self.send_header(name, value)
        length = headers.get("Content-Length", "0") if self.command == "HEAD" else str(len(body))
        self.send_header("content-length", length)
        self.end_headers()
        self.wfile.write(b"" if self.command == "HEAD" else body)

    do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = _any  # noqa: N815 - the names that the base class calls

    def log_message(self, *_):
        return


@contextmanager
def gcs(endpoint, access_key, secret_key):
    """Google Cloud Storage's XML API over an S3 server's buckets: its endpoint and the token it wants."""
    token = secrets.token_hex(16)
    told = {"endpoint": endpoint, "credentials": Credentials(access_key, secret_key), "token": token}
    with listening(type("Gcs", (_Gcs,), told)) as url:
        yield url, token


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_):
        return


@contextmanager
def http(folder):
    """A plain web server over a folder, which everybody may read."""
    with listening(partial(_Quiet, directory=str(folder))) as url:
        yield {"url": url}

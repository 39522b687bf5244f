"""Real servers of other protocols than S3, on loopback, each with one user `me` and a folder of its own."""

from __future__ import annotations

import asyncio
import secrets
import threading
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

USER = "me"


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


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_):
        return


@contextmanager
def http(folder):
    """A plain web server over a folder, which everybody may read."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield {"url": f"http://127.0.0.1:{server.server_port}"}
    finally:
        server.shutdown()
        thread.join()
        server.server_close()

"""Real receivers of messages on loopback: an SMTP server (RFC 5321, as far as a client of it goes), a webhook."""

from __future__ import annotations

import email
import email.policy
import json
import socketserver
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Box:
    """What came, in order; `refuse` makes the server say no, `redirect` point elsewhere, `hold` keep silent."""

    def __init__(self):
        self.messages = []
        self.refuse = False
        self.redirect = None
        self.reached = threading.Event()
        self.hold = threading.Event()
        self.hold.set()
        self._came = threading.Condition()

    def take(self, message):
        with self._came:
            self.messages.append(message)
            self._came.notify_all()

    def wait(self, count, limit_s=60):
        """The messages, once there are so many."""
        with self._came:
            assert self._came.wait_for(lambda: len(self.messages) >= count, limit_s), self.messages
            return list(self.messages)


class _Smtp(socketserver.StreamRequestHandler):
    def _say(self, line):
        self.wfile.write(line.encode() + b"\r\n")

    def handle(self):
        box = self.server.box
        box.hold.wait(60)
        self._say("220 here ESMTP")
        while line := self.rfile.readline(4096):
            verb = line.split()[0].upper() if line.split() else b""
            if verb == b"EHLO":
                self._say("250-here")
                self._say("250 8BITMIME")
            elif verb == b"QUIT":
                self._say("221 bye")
                return
            elif verb == b"DATA":
                self._data(box)
            elif verb == b"RCPT" and box.refuse:
                self._say("550 no such user")
            else:
                self._say("250 ok" if verb in {b"HELO", b"MAIL", b"RCPT", b"RSET", b"NOOP"} else "502 what?")

    def _data(self, box):
        self._say("354 go on")
        lines = []
        while (line := self.rfile.readline()) not in {b".\r\n", b""}:
            lines.append(line.removeprefix(b".") if line.startswith(b"..") else line)
        box.take(email.message_from_bytes(b"".join(lines), policy=email.policy.default))
        self._say("250 taken")


class _Smtpd(socketserver.ThreadingTCPServer):
    daemon_threads = True
    allow_reuse_address = True


class _Hook(BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("content-length", "0")))
        box = self.server.box
        box.reached.set()
        box.hold.wait(60)
        if not box.refuse:
            box.take((self.path, dict(self.headers), json.loads(body)))
        self.send_response(403 if box.refuse else 307 if box.redirect else 200)
        if box.redirect:
            self.send_header("location", box.redirect)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


@contextmanager
def _served(server):
    server.box = Box()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield server.box, server.server_address[1]
    finally:
        server.box.hold.set()
        server.shutdown()
        server.server_close()
        thread.join()


def smtp():
    """Its box and its port; the messages are `email.message.EmailMessage`."""
    return _served(_Smtpd(("127.0.0.1", 0), _Smtp))


def webhook():
    """Its box and its port; the messages are path, headers and the body, read as JSON."""
    return _served(ThreadingHTTPServer(("127.0.0.1", 0), _Hook))

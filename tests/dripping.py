"""Servers on loopback that send on and on, ever so slowly."""

import socket
import threading
from itertools import chain, repeat

DRIP_S = 0.02
LINE = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n"
SLOW = {
    "header": (LINE + b"x-drip: ", b"x"),
    "headers": (LINE, b"x: y\r\n"),
    "body": (LINE + b"content-length: 9999999\r\n\r\n", b" "),
    "chunks": (LINE + b"transfer-encoding: chunked\r\n\r\n", b"1\r\n \r\n"),
    "nothing": (b"", b""),
    "handshake": (b"\x16\x03\x03\x40\x00", b"\x00"),
}


def slow(name):
    """Sends something, and then the same piece again and again."""
    first, again = SLOW[name]
    return lambda _: chain([first], repeat(again))


class Server:
    """Sends each client what it is told to, piece by piece; remembers how many there were."""

    def __init__(self, pieces, drip_s=DRIP_S):
        self._pieces, self._drip_s = pieces, drip_s
        self._ended = threading.Event()
        self._listening = socket.create_server(("127.0.0.1", 0))
        self._threads = []
        self.clients = 0
        self.url = f"127.0.0.1:{self._listening.getsockname()[1]}"
        self._start(self._accept)

    def _start(self, work, *arguments):
        self._threads.append(threading.Thread(target=work, args=arguments))
        self._threads[-1].start()

    def _accept(self):
        while True:
            try:
                client, _ = self._listening.accept()
            except OSError:
                return
            self.clients += 1
            self._start(self._serve, client)

    def _serve(self, client):
        with client:
            for piece in self._pieces(client):
                try:
                    client.sendall(piece)
                except OSError:
                    return
                if self._ended.wait(self._drip_s):
                    return

    def close(self):
        self._ended.set()
        self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        for one in self._threads:
            one.join(10)
            assert not one.is_alive()

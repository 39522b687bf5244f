"""A hostile server on loopback: whatever it is asked, it answers without end, or without hurry."""

import gzip
import socket
import threading
import time
from contextlib import contextmanager, suppress

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
BLOCK = b"[" * (1 << 20)


def endless_body(send):
    send(HEAD + b"Content-Length: 1000000000000\r\n\r\n")
    while True:
        send(BLOCK)


def bomb(send):
    """256 MiB for each 256 KiB, for ever."""
    send(HEAD + b"Content-Encoding: gzip\r\n\r\n")
    data = gzip.compress(bytes(1 << 28), 9)
    while True:
        send(data)


def endless_redirect(send):
    send(b"HTTP/1.1 302 Found\r\nLocation: /elsewhere\r\nContent-Length: 1000000000000\r\n\r\n")
    while True:
        send(BLOCK)


def dripping_body(send):
    send(HEAD + b"Content-Length: 1000000\r\n\r\n")
    while True:
        send(b" ")
        time.sleep(0.1)


def dripping_headers(send):
    send(HEAD)
    while True:
        send(b"X")
        time.sleep(0.1)


def later(send):
    """Come again in eleven days."""
    send(b"HTTP/1.1 503 Later\r\nRetry-After: 1000000\r\nContent-Length: 0\r\n\r\n")


def silent(send):
    time.sleep(600)


def nonsense(send):
    send(HEAD + b"Content-Length: 22\r\n\r\n" + b'{"model_versions": 17}')


@contextmanager
def hostile(behave):
    """Its address."""
    stopped = threading.Event()

    def serve(connection):
        with connection, suppress(OSError):
            connection.recv(1 << 16)

            def send(data):
                if stopped.is_set():
                    raise OSError
                connection.sendall(data)

            behave(send)

    def accept():
        with suppress(OSError):
            while True:
                connection, _ = listener.accept()
                threading.Thread(target=serve, args=[connection], daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=accept, daemon=True).start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        stopped.set()
        listener.shutdown(socket.SHUT_RDWR)

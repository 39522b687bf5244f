"""How long one call of a forge may take in all, whatever the forge sends and however slowly.

Time-outs of single reads are none: a byte every few seconds keeps to each of them for ever. So connecting,
reading and writing wait no longer than what is left of the whole. Only looking up a host's name is left to
the bounds of the system's resolver.
"""

from __future__ import annotations

import math
import socket
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import wraps
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, Protocol, TypeVar

import httpcore
import httpx

if TYPE_CHECKING:
    import ssl

_P = ParamSpec("_P")
_T = TypeVar("_T")
_Timeout = type[httpcore.TimeoutException]

_PIECE = 1 << 14
_until: ContextVar[float] = ContextVar("_until", default=math.inf)


class _Asks(Protocol):
    @property
    def whole_s(self) -> float: ...


_A = TypeVar("_A", bound=_Asks)


@contextmanager
def within(seconds: float) -> Iterator[None]:
    """What is asked in this block, by this thread, ends by then; of several blocks the first end counts."""
    token = _until.set(min(_until.get(), time.monotonic() + seconds))
    try:
        yield
    finally:
        _until.reset(token)


def left_s() -> float:
    """Seconds that are left; none or less if the time is over, endless outside of `within`."""
    return _until.get() - time.monotonic()


def bounded(method: Callable[Concatenate[_A, _P], _T]) -> Callable[Concatenate[_A, _P], _T]:
    """A method that ends within the `whole_s` of what it belongs to, whatever it asks for."""

    @wraps(method)
    def called(self: _A, /, *args: _P.args, **kwargs: _P.kwargs) -> _T:
        with within(self.whole_s):
            return method(self, *args, **kwargs)

    return called


def timed(transport: httpx.HTTPTransport) -> httpx.HTTPTransport:
    """The same, whose connections know of the whole; `httpx` has no other way to say so."""
    pool = transport._pool  # noqa: SLF001
    pool._network_backend = _Backend(pool._network_backend)  # noqa: SLF001
    return transport


class _Backend(httpcore.NetworkBackend):
    def __init__(self, inner: httpcore.NetworkBackend) -> None:
        self._inner = inner

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        """One address after the other, within the whole, which a name of many addresses would multiply."""
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as error:
            raise httpcore.ConnectError(str(error)) from error
        for at, (*_, address) in enumerate(found, start=1):
            wait = _wait(timeout, httpcore.ConnectTimeout)
            try:
                made = self._inner.connect_tcp(str(address[0]), port, wait, local_address, socket_options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout):
                if at == len(found):
                    raise
            else:
                return _Stream(made)
        raise httpcore.ConnectError(f"{host} has no address")


class _Stream(httpcore.NetworkStream):
    def __init__(self, inner: httpcore.NetworkStream) -> None:
        self._inner = inner

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._inner.read(max_bytes, _wait(timeout, httpcore.ReadTimeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        for at in range(0, len(buffer), _PIECE):
            self._inner.write(buffer[at : at + _PIECE], _wait(timeout, httpcore.WriteTimeout))

    def close(self) -> None:
        self._inner.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        wait = _wait(timeout, httpcore.ConnectTimeout)
        return _Stream(self._inner.start_tls(ssl_context, server_hostname, wait))

    def get_extra_info(self, info: str) -> Any:  # noqa: ANN401 - httpcore's own
        return self._inner.get_extra_info(info)


def _wait(timeout: float | None, late: _Timeout) -> float | None:
    left = left_s()
    if left <= 0:
        raise late("the time is over")
    wait = min(left, math.inf if timeout is None else timeout)
    return None if wait == math.inf else wait

"""Messages by Apprise: e-mail, Slack, Teams, Matrix, webhooks and what else it speaks.

A URL of Apprise's holds the credential, so it is in no error and no log: Apprise's own log is off, and
whatever a thread would log while it sends a message.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import Any

from placet.errors import Invalid, NotFound, Unavailable

_LIMIT_S, _STEP_S = 60.0, 0.2
_LEAST, _MOST = 200, 20_000
_HANGING = 3
_THREADS = ("apprise", "paho")  # how the threads of its plug-ins are called


class _Silence(logging.Filter):
    """Nothing that a thread logs passes while it sends a message, nor what Apprise's own threads do."""

    def __init__(self) -> None:
        super().__init__()
        self._sending: set[int | None] = set()

    def filter(self, record: logging.LogRecord) -> bool:
        """May this be logged?"""
        return record.thread not in self._sending and not (record.threadName or "").startswith(_THREADS)

    def __enter__(self) -> None:
        """This thread sends from now on, by whatever libraries its service's plug-in uses."""
        known = [
            one for one in list(logging.root.manager.loggerDict.values()) if isinstance(one, logging.Logger)
        ]
        handlers = [handler for one in (logging.root, *known) for handler in one.handlers]
        for handler in (*handlers, logging.lastResort):
            if handler is not None:
                handler.addFilter(self)  # a handler has each filter once
        self._sending.add(threading.get_ident())

    def __exit__(self, *_: object) -> None:
        """It has ended."""
        self._sending.discard(threading.get_ident())


_silence = _Silence()


class AppriseMessenger:
    """One target. What it is sent is plain text, and is given to the service as such.

    Args:
        name: The target's, for errors.
        url: Apprise's; one.
        checkpoint: Asked while it waits; raises to end the wait.

    Raises:
        NotFound: kind `no-apprise`: the extra is not installed.
        Invalid: kind `notify-url`: Apprise does not know such a URL.
    """

    def __init__(self, name: str, url: str, checkpoint: Callable[[], None] = lambda: None) -> None:
        self._name = name
        self._checkpoint = checkpoint
        self._service = _open(name, url)
        self._hanging: list[threading.Thread] = []

    @property
    def limit(self) -> int:
        """Characters that the text of a message may have."""
        return max(_LEAST, min(int(self._service.body_maxlen), _MOST))

    def send(self, title: str, text: str, *, loud: bool) -> None:
        """Send one message; a service that does not end its answer is left alone after a minute.

        Some messages may hang there at a time; then it is not tried until one of them has ended.

        Raises:
            Unavailable: kind `not-told`.
        """
        self._hanging = [one for one in self._hanging if one.is_alive()]
        if len(self._hanging) >= _HANGING:
            raise self._failed("It has not answered the messages before.")
        sent: list[bool] = []
        sender = threading.Thread(target=self._send, args=(title, text, loud, sent), daemon=True)
        sender.start()
        self._hanging.append(sender)
        ends = time.monotonic() + _LIMIT_S
        while sender.is_alive() and time.monotonic() < ends:
            self._checkpoint()
            sender.join(_STEP_S)
        if sender.is_alive():
            raise self._failed(f"It did not answer within {_LIMIT_S:.0f} s.")
        if sent != [True]:
            raise self._failed("The service cannot be reached, or refused the message.")

    def _send(self, title: str, text: str, loud: bool, sent: list[bool]) -> None:
        from apprise import Apprise, NotifyFormat, NotifyType

        kind = NotifyType.WARNING if loud else NotifyType.INFO
        try:
            with _silence:
                found = Apprise([self._service], asset=self._service.asset).notify(
                    body=text, title=title, notify_type=kind, body_format=NotifyFormat.TEXT
                )
            sent.append(bool(found))
        except Exception:  # noqa: BLE001 - whatever a plug-in of Apprise's raises may name its URL
            sent.append(False)

    def _failed(self, why: str) -> Unavailable:
        return Unavailable(
            f"The target {self._name} of [notify] was not told.",
            kind="not-told",
            why=why,
            mend="Look at its URL and at the service, then: placet notify --test",
        )


def _open(name: str, url: str) -> Any:  # noqa: ANN401 - a plug-in of Apprise's
    try:
        from apprise import Apprise, AppriseAsset
    except ImportError as error:
        raise NotFound(
            "Apprise is not installed.", kind="no-apprise", mend="pip install '/path/to/placet[notify]'"
        ) from error
    logging.getLogger("apprise").setLevel(logging.CRITICAL + 1)
    asset = AppriseAsset(
        app_id="Placet",
        app_desc="Placet",
        app_url="",
        image_url_mask="",
        image_url_logo="",
        image_path_mask="",
        async_mode=False,
        http_redirects=False,
        service_timeout=0,  # the wait is ours: threads of Apprise's keep the process from ending
        interpret_emojis=False,
        pgp_autogen=False,
        pem_autogen=False,
    )
    try:
        with _silence:
            service = Apprise.instantiate(url, asset=asset)
    except Exception:  # noqa: BLE001 - whatever a plug-in of Apprise's raises may name its URL
        service = None
    if service is None:
        raise Invalid(
            f"The URL of the target {name} of [notify] is none that Apprise knows.",
            kind="notify-url",
            why="It is not shown, since it may hold a credential.",
            mend="See docs/how-to/notify.md.",
        )
    return service

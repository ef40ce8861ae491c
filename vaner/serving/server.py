"""In: TaggingSettings, ServerSettings. Out: a server that runs until it is told to stop, and then ends well.

SIGTERM, Ctrl-C    /readyz says 503, new requests get 503, those that are open are answered; then it ends
a second time      it ends now
"""

from __future__ import annotations

import logging
import os
import socket
import sys
import time
from types import FrameType

import uvicorn

from vaner.errors import VanerError
from vaner.serving.app import create_app
from vaner.serving.desk import Desk
from vaner.serving.settings import ServerSettings
from vaner.serving.shared import SharedTagger
from vaner.tagging.settings import TaggingSettings

log = logging.getLogger(__name__)

#: Connections at a time; more are told 503.
CONNECTIONS = 1_024


class Server(uvicorn.Server):
    """uvicorn's server, but told to stop it answers what is open first, and new requests with 503.

    Attributes:
        left: requests that were open when it ended all the same.
    """

    def __init__(self, desk: Desk) -> None:
        config = uvicorn.Config(
            create_app(desk),
            log_config=None,
            access_log=False,
            server_header=False,
            limit_concurrency=CONNECTIONS,
            timeout_graceful_shutdown=5,
            ws="none",
            http="h11",
            loop="asyncio",
            proxy_headers=False,
        )
        super().__init__(config)
        self._desk = desk
        self._until: float | None = None
        self.left = 0

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Begin to stop; the second signal ends at once."""
        if self._until is not None:
            self.left = self._desk.open
            self.should_exit = self.force_exit = True
            return
        self._until = time.monotonic() + self._desk.settings.grace
        self._desk.stop()

    async def on_tick(self, counter: int) -> bool:
        """Whether to end: once nothing is open, or the time for it is over."""
        if self._until is not None and (not self._desk.open or time.monotonic() > self._until):
            self.left = self.left or self._desk.open
            # What the time was over for has had its time.
            self.should_exit, self.force_exit = True, self.force_exit or bool(self.left)
        return await super().on_tick(counter)


def serve(tagging: TaggingSettings, settings: ServerSettings) -> int:
    """Load the models and serve until a signal ends it.

    Args:
        tagging: what is served.
        settings: where, and to whom.

    Returns:
        exit status 0; where requests are left without an answer the process ends with status 1.

    Raises:
        VanerError: an address that cannot be listened on, and what `SharedTagger` and `ServerSettings.check` refuse.
    """
    settings.check()
    tagging.check()
    # An address that is taken is said before the models are loaded.
    bound = listening(settings)
    with bound:
        set_up_logging()
        desk = Desk(settings, SharedTagger(tagging))
        for remark in desk.tagger.together.remarks():
            log.info("%s", remark)
        server = Server(desk)
        host, port = bound.getsockname()[:2]
        shown = f"[{host}]" if ":" in host else host
        bound.listen(server.config.backlog)
        print(f"{desk.tagger.name} at http://{shown}:{port}", file=sys.stderr, flush=True)
        server.run(sockets=[bound])
    if not server.left:
        return 0
    log.warning("%d requests were left without an answer", server.left)
    logging.shutdown()
    # Python would wait for the threads that still compute them.
    os._exit(1)


def listening(settings: ServerSettings) -> socket.socket:
    """A socket at the address of the settings.

    Raises:
        VanerError: it is taken, or none of this machine's.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            settings.host, settings.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        bound = socket.socket(family, kind, protocol)
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(address)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise VanerError(
            f"--host {settings.host} --port {settings.port}: cannot be listened on ({reason}); choose another --port, "
            "or an address of this machine"
        ) from None
    return bound


def set_up_logging() -> None:
    """Lines of the server to standard error; of what its libraries say only what went wrong."""
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s"))
    ours = logging.getLogger("vaner.serving")
    ours.setLevel(logging.INFO)
    ours.propagate = False
    ours.handlers[:] = [handler]
    # uvicorn writes out the exception of a failed request, whose message may quote a text; the guard logs it without.
    logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)

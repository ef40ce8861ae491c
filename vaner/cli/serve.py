"""In: a model, an address. Out: a server that tags what clients send it, and a page for people."""

from __future__ import annotations

import argparse
import os

from vaner.cli.tagging_options import add_tagging, settings_of
from vaner.errors import VanerError

HELP = "tag for clients over HTTP, with a page for the browser"
EPILOG = (
    "The key that clients must send (Authorization: Bearer KEY) is the environment variable VANER_API_KEY. SIGTERM "
    "and Ctrl-C let open requests end. Status: 0; 1 where some were left without an answer; 2 for bad use."
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.epilog = EPILOG
    add = parser.add_argument
    add(
        "--host",
        default="127.0.0.1",
        help="address to listen on; others than this machine's own reach 0.0.0.0; default: %(default)s",
    )
    add("--port", type=int, default=8000, metavar="N", help="0: any that is free; default: %(default)s")
    add(
        "--no_key",
        action="store_true",
        help="listen where others reach it without a key: whoever reaches it may use it",
    )
    add(
        "--allowed_hosts",
        nargs="+",
        default=[],
        metavar="NAME",
        help="names, besides this machine's, that requests may be addressed to",
    )
    limits = parser.add_argument_group("limits")
    add = limits.add_argument
    add(
        "--max_body",
        type=int,
        default=8_000_000,
        metavar="BYTES",
        help="of a request, plain and unpacked; default: %(default)s",
    )
    add(
        "--max_text",
        type=int,
        default=1_000_000,
        metavar="CHARACTERS",
        help="of one text; default: %(default)s",
    )
    add(
        "--max_documents",
        type=int,
        default=1_000,
        metavar="N",
        help="texts of a request; default: %(default)s",
    )
    add(
        "--max_queue",
        type=int,
        default=256,
        metavar="N",
        help="requests that are open at a time; more get 429; default: %(default)s",
    )
    add(
        "--timeout",
        type=float,
        default=120.0,
        metavar="SECONDS",
        help="that a request may take before it gets 504; default: %(default)s",
    )
    add(
        "--grace",
        type=float,
        default=120.0,
        metavar="SECONDS",
        help="that open requests have once the server is told to stop; default: %(default)s",
    )
    add_tagging(parser)


def run(args: argparse.Namespace) -> int:
    try:
        # Here, so that other commands do without the extra.
        from vaner.serving.server import serve
        from vaner.serving.settings import KEY_VARIABLE, ServerSettings
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] == "vaner":
            raise
        raise VanerError(f"serve needs {error.name}; pip install 'vaner[serve]'") from None
    settings = ServerSettings(
        host=args.host,
        port=args.port,
        key=os.environ.get(KEY_VARIABLE) or None,
        no_key=args.no_key,
        allowed_hosts=tuple(args.allowed_hosts),
        max_body=args.max_body,
        max_text=args.max_text,
        max_documents=args.max_documents,
        max_queue=args.max_queue,
        timeout=args.timeout,
        grace=args.grace,
    )
    settings.check()
    return serve(settings_of(args), settings)

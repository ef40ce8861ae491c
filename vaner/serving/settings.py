"""In: options of a server. Out: what it allows and where it listens, refused where that is not safe."""

from __future__ import annotations

import ipaddress
import socket
from dataclasses import dataclass

from vaner.errors import VanerError

#: The environment variable that has the key.
KEY_VARIABLE = "VANER_API_KEY"
_SHORTEST_KEY = 16
_LOCAL_NAMES = ("localhost",)


@dataclass(frozen=True)
class ServerSettings:
    """Where a server listens, and what it allows.

    Attributes:
        host: address or name to listen on.
        port: of it; 0 for any that is free.
        key: what clients must send as ``Authorization: Bearer KEY``; None where they need none.
        no_key: listen elsewhere than on the loopback interface without a key.
        allowed_hosts: names, besides the machine's own, that requests may be addressed to.
        max_body: bytes of a request's body, before and after it is unpacked.
        max_text: characters of one text.
        max_documents: texts of one request.
        max_queue: requests that wait or are tagged at a time; more are told to come again.
        timeout: seconds that a request may take, from its last byte on; its body may take as long.
        grace: seconds that requests have to end in once the server is told to stop.
    """

    host: str = "127.0.0.1"
    port: int = 8000
    key: str | None = None
    no_key: bool = False
    allowed_hosts: tuple[str, ...] = ()
    max_body: int = 8_000_000
    max_text: int = 1_000_000
    max_documents: int = 1_000
    max_queue: int = 256
    timeout: float = 120.0
    grace: float = 120.0

    @property
    def max_memory(self) -> int:
        """Bytes of all bodies that are held at a time."""
        return 32 * self.max_body

    def check(self) -> None:
        """Refuse what cannot work and what would let strangers in.

        Raises:
            VanerError: a number that is none, a key that is easily guessed or cannot be sent, or an address that
                others reach where there is no key.
        """
        for name in ("max_body", "max_text", "max_documents", "max_queue", "timeout", "grace"):
            if getattr(self, name) <= 0:
                raise VanerError(f"--{name} is {getattr(self, name):g}; give a number above 0")
        if not 0 <= self.port < 65_536:
            raise VanerError(f"--port is {self.port}; give one from 1 to 65535, or 0 for any that is free")
        if self.key is not None:
            if len(self.key) < _SHORTEST_KEY:
                raise VanerError(
                    f"{KEY_VARIABLE} has {len(self.key)} characters; give at least {_SHORTEST_KEY}, such as python -c "
                    "'import secrets; print(secrets.token_urlsafe())' makes"
                )
            if not all("!" <= one <= "~" for one in self.key):
                raise VanerError(
                    f"{KEY_VARIABLE} has characters that no header can hold; use letters, digits, - and _"
                )
        elif not self.no_key and not is_loopback(self.host):
            raise VanerError(
                f"--host {self.host}: others could reach the server without a key; set {KEY_VARIABLE}, listen on "
                "127.0.0.1, or say --no_key if whoever reaches it may use it"
            )

    def allows_host(self, host: str) -> bool:
        """Whether a request may be addressed to a host, as its Host header has it.

        A page of another site whose name is made to lead here (DNS rebinding) would have that name. Addresses are
        no names, and whoever must send a key cannot be tricked so.
        """
        name = _name(host)
        if name is None:
            return False
        if self.key is not None and not self.allowed_hosts:
            return True
        own = {*_LOCAL_NAMES, self.host.lower(), socket.gethostname().lower()}
        return (
            name in own or name in {one.lower() for one in self.allowed_hosts} or _address(name) is not None
        )


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches an address to listen on; a name counts by all that it stands for."""
    if (address := _address(host)) is not None:
        return address.is_loopback
    try:
        found = {entry[4][0] for entry in socket.getaddrinfo(host, None)}
    except OSError:
        raise VanerError(f"--host {host}: no such address; give one of this machine's") from None
    return all(ipaddress.ip_address(str(one).partition("%")[0]).is_loopback for one in found)


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return None


def _name(host: str) -> str | None:
    """The name or address of a Host header, without its port and in small letters; None for what is no host."""
    name, colon, port = host.rpartition(":") if not host.endswith("]") else (host, "", "")
    if not colon:
        name = name or port
    elif not port.isdecimal():
        return None
    return name.lower().rstrip(".") or None

"""The operator's mail server, by which people are told of new products."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from geodes_lab.policy.units import Seconds


@dataclass(frozen=True)
class Mail:
    """A server of SMTP; its password is the secret ``mail_password``."""

    host: str
    sender: str
    """The address that mails come from, such as ``geodes-lab@cnes.example``."""
    port: int = 587
    security: Literal["starttls", "tls", "none"] = "starttls"
    """``tls``: from the first byte, usually at port 465; ``none``: for a server that only the lab reaches."""
    user: str = ""
    """Whom the server knows; empty: it asks for nobody, and there is no password."""
    authority: str = ""
    """A file with the CA of its certificate, if the system does not trust it."""
    domains: tuple[str, ...] = ()
    """The domains of people's addresses; empty: any."""
    every: Seconds = Seconds(900)
    """The time between two looks for new products."""

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[\w.+-]+@[\w-]+(\.[\w-]+)*", self.sender, re.ASCII):
            raise ValueError(f"sender is {self.sender!r}: write an address such as geodes-lab@cnes.example.")
        if not re.fullmatch(r"[\w.:-]+", self.host, re.ASCII):
            raise ValueError(f"host is {self.host!r}: write a name such as smtp.cnes.example.")
        if self.user and self.security == "none":
            raise ValueError("user needs security: starttls or tls, since others could read the password.")
        if self.every < 60:
            raise ValueError("every must be a minute or more.")
        for domain in self.domains:
            if not re.fullmatch(r"[a-z0-9-]+(\.[a-z0-9-]+)+", domain):
                raise ValueError(f"{domain!r} in domains is no domain such as cnes.example, in small letters.")

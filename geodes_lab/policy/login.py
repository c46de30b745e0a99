"""Who enters: the login of a lab, and what its provider says of people."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import urlsplit

from geodes_lab.policy.sense import is_loopback
from geodes_lab.policy.units import Seconds


@dataclass(frozen=True)
class Claims:
    """Where the provider says what; each a claim's name, or a path of names with dots."""

    name: str = "preferred_username"
    groups: tuple[str, ...] = ("groups",)
    """Every claim in the list is read. For Keycloak's realm roles write ``realm_access.roles``."""
    source: Literal["userinfo", "id_token", "access_token"] = "userinfo"
    """Tokens are verified with the provider's keys before they are used."""


@dataclass(frozen=True)
class Oidc:
    """The provider that people log in with."""

    issuer: str
    client_id: str
    authorize_url: str = ""
    token_url: str = ""
    userinfo_url: str = ""
    keys_url: str = ""
    logout_url: str = ""
    """By default, the hub asks the provider for these five (``/.well-known/openid-configuration`` below the issuer)."""
    scopes: tuple[str, ...] = ("openid", "profile", "email")
    claims: Claims = field(default_factory=Claims)
    audience: str = ""
    """The audience that verified tokens must have; by default, the client."""
    authority: str = ""
    """The CA file for the provider's certificate, if the system does not trust it."""
    basic_auth: bool = False
    refresh: Seconds = Seconds(300)
    """The age of the data about a person after which the provider is asked again."""
    grace: Seconds = Seconds(3600)
    """How long logged-in people can work while the provider does not answer."""
    title: str = "GEODES"

    def __post_init__(self) -> None:
        host = urlsplit(self.issuer)
        if host.scheme != "https" and not is_loopback(host.hostname or ""):
            raise ValueError(f"the issuer {self.issuer!r} is not https, so others could read the tokens: use https.")


@dataclass(frozen=True)
class Login:
    """Who enters."""

    kind: Literal["link", "oidc"] = "link"
    """``link``: only the person who started the lab, with a link that works once, on loopback."""
    oidc: Oidc | None = None
    blocked: tuple[str, ...] = ()
    """Names of persons who have no access, whatever their groups."""

    def __post_init__(self) -> None:
        if (self.kind == "oidc") != (self.oidc is not None):
            raise ValueError("kind: oidc needs the section `oidc`, and this section needs kind: oidc.")

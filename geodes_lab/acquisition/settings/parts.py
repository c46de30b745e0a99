"""What all parts of the settings have: an unknown key is refused; durations, sizes, instants; secrets by reference."""

from __future__ import annotations

import os
from datetime import UTC, date, datetime, time
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema, model_validator

from geodes_lab.credentials.origin import origin
from geodes_lab.credentials.secret import Secret
from geodes_lab.errors import GeodesError
from geodes_lab.policy.units import Bytes, Seconds

_VARIABLE = r"[A-Za-z_][A-Za-z0-9_]*"


def _instant(value: Any) -> Any:
    """A day of YAML is its first moment; an instant without an offset is UTC."""
    if isinstance(value, date) and not isinstance(value, datetime):
        return datetime.combine(value, time(), UTC)
    if isinstance(value, str):
        value = datetime.fromisoformat(value)
    return value.replace(tzinfo=UTC) if isinstance(value, datetime) and value.tzinfo is None else value


Duration = Annotated[Seconds, BeforeValidator(Seconds.read), WithJsonSchema({"type": "string", "examples": ["90 min"]})]
Size = Annotated[Bytes, BeforeValidator(Bytes.read), WithJsonSchema({"type": "string", "examples": ["4 GiB"]})]
Instant = Annotated[datetime, BeforeValidator(_instant)]


class Part(BaseModel):
    """A part of the settings."""

    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True)


class Reference(Part):
    """Where a secret is: the secret itself is no setting."""

    environment: str | None = Field(
        default=None, pattern=f"^{_VARIABLE}$", description="The name of an environment variable."
    )
    file: Path | None = Field(default=None, description="A file that holds only the secret.")

    @model_validator(mode="after")
    def _one(self) -> Self:
        if (self.environment is None) == (self.file is None):
            raise ValueError("it names one place of the secret, environment: or file:, and never the secret itself")
        return self

    def read(self, what: str) -> Secret:
        """Read the secret.

        Raises
        ------
        GeodesError
            If it is not there; the sentence does not show it.
        """
        try:
            text = os.environ.get(self.environment, "") if self.environment else Path(self.file or "").read_text()
        except (OSError, UnicodeDecodeError) as error:
            raise GeodesError(f"{what} cannot be read from the file {self.file} ({type(error).__name__}).") from None
        if not text.strip():
            raise GeodesError(f"{what} is not in {self.environment or self.file}: set it there.")
        return Secret({"value": text.strip()})


class Login(Part):
    """A user's name and password, each by reference."""

    user: Reference
    password: Reference


def web_address(value: str) -> str:
    """Return the address of a web server, without a slash at its end."""
    if origin(value) is None or "?" in value or "#" in value:
        raise ValueError(f"{value!r} is no address of a web server")
    return value.rstrip("/")

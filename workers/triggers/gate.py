"""The gate of the callback route: whose callbacks are let in."""

from dataclasses import dataclass
from typing import Any, Final

import jwt

from workers.triggers.keys import CallbackKey

PURPOSE: Final = "escapement.trigger"
LEEWAY_SECONDS: Final = 30
REQUIRED: Final = ("exp", "iat", "aud", "iss", "purpose", "job", "slot")


class NotLetInError(Exception):
    """The callback is refused; the message says why and holds nothing of the token."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Gate:
    """Lets signed callbacks in (RFC 7519); without key, audience or issuer it refuses everything."""

    key: CallbackKey | None = None
    audience: str | None = None
    issuer: str | None = None

    def check(self, authorization: str, job: str, slot: str) -> None:
        """Check the header `Authorization` of a callback for one slot; raises NotLetInError."""
        if self.key is None or not self.audience or not self.issuer:
            raise NotLetInError("no key, audience and issuer are configured: every callback is refused")
        scheme, _, token = authorization.partition(" ")
        if scheme.lower() != "bearer" or not token:
            raise NotLetInError("it has no bearer token")
        claims = self._claims(token.strip(), self.key)
        if (claims["purpose"], claims["job"], claims["slot"]) != (PURPOSE, job, slot):
            raise NotLetInError("its token is for something else")

    def _claims(self, token: str, key: CallbackKey) -> dict[str, Any]:
        try:
            return jwt.decode(
                token,
                key=key.key,
                algorithms=[key.algorithm],
                audience=self.audience,
                issuer=self.issuer,
                leeway=LEEWAY_SECONDS,
                options={"require": list(REQUIRED), "strict_aud": True},
            )
        except (jwt.PyJWTError, RecursionError) as error:
            raise NotLetInError(f"its token is refused: {type(error).__name__}") from None

"""The settings of triggers: which provider, and how the external one meets its service."""

from typing import Annotated

from pydantic import BaseModel, Field, HttpUrl, SecretStr, field_validator

ADDRESS = "an absolute http:// or https:// address without query, or leave it unset"
KEY_ACCEPTED = "a public key in PEM, or the path of its file: RSA of 2048 bits or more, EC P-256 or Ed25519"

Address = Annotated[HttpUrl | None, Field(description=ADDRESS)]
Name = Annotated[str | None, Field(min_length=1, description="a text that the service signs, or leave it unset")]


class TriggerFields(BaseModel):
    """What a deployment says about its trigger; the public key is the PEM text, also where a file was named."""

    scheduler_trigger: Annotated[str, Field(min_length=1, description="beat, external, or the name of a plug-in")] = (
        "beat"
    )
    scheduler_trigger_url: Address = None
    scheduler_trigger_callback_url: Address = None
    scheduler_trigger_public_key: Annotated[str | None, Field(min_length=1, description=KEY_ACCEPTED)] = None
    scheduler_trigger_audience: Name = None
    scheduler_trigger_issuer: Name = None
    scheduler_trigger_api_key: Annotated[
        SecretStr | None,
        Field(min_length=1, description="the service's key (visible ASCII, no spaces), or leave it unset"),
    ] = None

    @field_validator("scheduler_trigger_url", "scheduler_trigger_callback_url")
    @classmethod
    def _takes_a_path(cls, address: HttpUrl | None) -> HttpUrl | None:
        if address is not None and (address.query is not None or address.fragment is not None):
            raise ValueError("paths are added to it, so that it can't have a query or a fragment")
        return address

    @field_validator("scheduler_trigger_public_key")
    @classmethod
    def _can_be_used(cls, value: str | None) -> str | None:
        """Read the key once, at start; its library is big and only loaded when there is one."""
        if value is None:
            return None
        from workers.triggers.keys import pem_text, read_key  # noqa: PLC0415 - see above

        pem = pem_text(value)
        read_key(pem)
        return pem

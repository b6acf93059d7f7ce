"""The gate: whose callbacks are let in, and that nobody else's are."""

import pytest
from cryptography.hazmat.primitives.asymmetric import dsa, ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from tasks.errors import ConfigurationError
from tests.trigger_service import AUDIENCE, ISSUER, KINDS, MODES, Signer
from workers.settings import Settings, load_settings
from workers.triggers.gate import Gate, NotLetInError
from workers.triggers.keys import pem_text, read_key

SLOT = "2026-11-20T21:45:00Z"
HARMLESS = {"normal", "twice", "late", "never", "refuse"}


@pytest.fixture(scope="module", params=KINDS)
def signer(request: pytest.FixtureRequest) -> Signer:
    return Signer(algorithm=request.param)


@pytest.fixture
def gate(signer: Signer) -> Gate:
    return Gate(key=read_key(signer.pem.decode()), audience=AUDIENCE, issuer=ISSUER)


def bearer(signer: Signer, mode: str = "normal") -> str:
    return f"Bearer {signer.token('ping', SLOT, mode)}"


def test_a_signed_callback_for_its_slot_is_let_in(gate: Gate, signer: Signer) -> None:
    gate.check(bearer(signer), "ping", SLOT)


@pytest.mark.parametrize("mode", sorted(set(MODES) - HARMLESS))
def test_everything_else_is_refused(gate: Gate, signer: Signer, mode: str) -> None:
    with pytest.raises(NotLetInError):
        gate.check(bearer(signer, mode), "ping", SLOT)


@pytest.mark.parametrize(
    "header", ["", "Bearer", "Bearer ", "Basic eHg6eQ==", "Bearer a.b.c", "Bearer " + "W1tb" * 9000 + ".e30.c2ln"]
)
def test_what_is_no_token_is_refused(gate: Gate, header: str) -> None:
    with pytest.raises(NotLetInError):
        gate.check(header, "ping", SLOT)


@pytest.mark.parametrize(("job", "slot"), [("pong", SLOT), ("ping", "2026-11-20T21:46:00Z")])
def test_a_token_opens_its_own_slot_only(gate: Gate, signer: Signer, job: str, slot: str) -> None:
    with pytest.raises(NotLetInError):
        gate.check(bearer(signer), job, slot)


@pytest.mark.parametrize("lacking", ["key", "audience", "issuer"])
def test_without_key_audience_or_issuer_everything_is_refused(signer: Signer, lacking: str) -> None:
    parts = {"key": read_key(signer.pem.decode()), "audience": AUDIENCE, "issuer": ISSUER} | {lacking: None}
    with pytest.raises(NotLetInError, match="every callback is refused"):
        Gate(**parts).check(bearer(signer), "ping", SLOT)


def test_a_refusal_holds_nothing_of_the_token(gate: Gate, signer: Signer) -> None:
    header = bearer(signer, "expired")
    with pytest.raises(NotLetInError) as caught:
        gate.check(header, "ping", SLOT)
    assert not any(part in str(caught.value) for part in header.removeprefix("Bearer ").split("."))


def public(key: object) -> str:
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


def test_a_private_key_is_refused_by_its_name() -> None:
    key = KINDS["ES256"]()
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    with pytest.raises(ValueError, match="it is a private key"):
        read_key(pem)


@pytest.mark.parametrize(
    "weak",
    [
        lambda: rsa.generate_private_key(public_exponent=65537, key_size=1024),
        lambda: ec.generate_private_key(ec.SECP384R1()),
        lambda: dsa.generate_private_key(2048),
    ],
    ids=["short RSA", "another curve", "DSA"],
)
def test_a_weak_or_strange_key_is_refused(weak) -> None:
    with pytest.raises(ValueError, match="not accepted"):
        read_key(public(weak()))


def test_a_key_may_be_one_line_or_a_file(tmp_path) -> None:
    pem = Signer().pem.decode()
    file = tmp_path / "trigger.pem"
    file.write_text(pem)
    assert pem_text(pem.replace("\n", "\\n")) == pem_text(str(file)) == pem


@pytest.fixture
def only(monkeypatch: pytest.MonkeyPatch):
    """Load the settings with nothing of ours set but these variables."""
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.setenv("ESCAPEMENT_ENV_FILE", "")

    def load(**variables: str) -> Settings:
        for name, value in variables.items():
            monkeypatch.setenv(f"SCHEDULER_TRIGGER{name}", value)
        return load_settings()

    return load


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("", ""),
        ("_URL", "example.org"),
        ("_URL", "https://example.org/?key=1"),
        ("_CALLBACK_URL", "https://example.org/#top"),
        ("_PUBLIC_KEY", "nowhere.pem"),
        ("_PUBLIC_KEY", "-----BEGIN PUBLIC KEY-----\nMCow\n-----END PUBLIC KEY-----"),
        ("_AUDIENCE", ""),
        ("_ISSUER", ""),
        ("_API_KEY", "with a space"),
    ],
)
def test_a_bad_value_is_named_at_start(only, name: str, value: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        only(**{name: value})
    (line,) = str(caught.value).splitlines()[1:]
    assert line.startswith(f"  SCHEDULER_TRIGGER{name}=")
    assert "accepted" in line


def test_the_key_of_the_service_is_in_no_representation(only) -> None:
    assert "sesame" not in repr(only(_API_KEY="sesame"))

import pytest

from tasks.domain.verification_questions import Style
from tasks.errors import ConfigurationError
from workers.settings import load_settings

URL, MODEL = "http://localhost:11434/v1/chat/completions", "qwen3"
KEY = "sk-very-secret"


@pytest.fixture
def settings(monkeypatch):
    def loaded(**variables):
        monkeypatch.setenv("ESCAPEMENT_ENV_FILE", "")
        for name in ("URL", "MODEL", "API_KEY", "STYLE"):
            monkeypatch.delenv(f"VERIFICATION_LLM_{name}", raising=False)
        for name, value in variables.items():
            monkeypatch.setenv(f"VERIFICATION_LLM_{name}", value)
        return load_settings()

    return loaded


def test_unset_is_not_configured(settings):
    found = settings()
    assert (found.verification_llm_url, found.verification_llm_model, found.verification_llm_api_key) == (None,) * 3


def test_an_address_and_a_model_are_enough(settings):
    found = settings(URL=URL, MODEL=MODEL)
    assert (str(found.verification_llm_url), found.verification_llm_model) == (URL, MODEL)
    assert found.verification_llm_style is Style.OPENAI
    assert settings(URL=URL, MODEL=MODEL, STYLE="anthropic").verification_llm_style is Style.ANTHROPIC


@pytest.mark.parametrize(
    ("variables", "name"),
    [
        ({"URL": "", "MODEL": MODEL}, "VERIFICATION_LLM_URL"),
        ({"URL": "localhost", "MODEL": MODEL}, "VERIFICATION_LLM_URL"),
        ({"URL": URL}, "VERIFICATION_LLM_MODEL"),
        ({"URL": URL, "MODEL": ""}, "VERIFICATION_LLM_MODEL"),
        ({"URL": URL, "MODEL": MODEL, "API_KEY": ""}, "VERIFICATION_LLM_API_KEY"),
        ({"URL": URL, "MODEL": MODEL, "API_KEY": f"{KEY}\n"}, "VERIFICATION_LLM_API_KEY"),
        ({"URL": URL, "MODEL": MODEL, "STYLE": "gemini"}, "VERIFICATION_LLM_STYLE"),
    ],
)
def test_what_can_not_be_used_is_named_and_the_key_is_not_shown(settings, variables, name):
    with pytest.raises(ConfigurationError) as caught:
        settings(**variables)
    assert f"{name}=" in str(caught.value)
    assert "accepted: " in str(caught.value)
    assert KEY not in str(caught.value)

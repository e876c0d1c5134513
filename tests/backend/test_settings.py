"""Settings from the environment and from the home's file."""

import stat
import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import SecretStr

from backend.errors import SettingsInvalid
from backend.label_studio import Gateway
from backend.settings import Settings, ensure_secrets, protect, write_env


def test_the_defaults(tmp_path: Path):
    settings = Settings.load(tmp_path)
    assert settings.sqlalchemy_url == f"sqlite:///{tmp_path}/hero.db"
    assert settings.backend_url == "http://127.0.0.1:9090"
    assert settings.files_root == settings.images_dir == tmp_path / "images"
    assert settings.image_store == "local-files"


def test_the_home_comes_from_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("HERO_HOME", str(tmp_path / "there"))
    assert Settings.load().home == tmp_path / "there"


def test_a_relative_home_is_made_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    assert Settings.load().home == tmp_path / ".hero"


def test_the_environment_wins_over_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    write_env(tmp_path, {"LABEL_STUDIO_URL": "http://file:1", "HERO_PORT": "9999"})
    monkeypatch.setenv("LABEL_STUDIO_URL", "http://environment:2/")
    settings = Settings.load(tmp_path)
    assert settings.label_studio_url == "http://environment:2"
    assert settings.port == 9999


def test_the_other_name_that_label_studio_backends_use(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("LABEL_STUDIO_HOST", "http://here:8080")
    assert Settings.load(tmp_path).label_studio_url == "http://here:8080"


def test_links_for_people_may_have_another_address(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("LABEL_STUDIO_URL", "http://label-studio:8080")
    assert Settings.load(tmp_path).public_label_studio_url == "http://label-studio:8080"
    monkeypatch.setenv("LABEL_STUDIO_PUBLIC_URL", "https://label.example.org/")
    settings = Settings.load(tmp_path).model_copy(update={"label_studio_api_key": SecretStr("a")})
    assert settings.label_studio_url == "http://label-studio:8080"
    assert Gateway(settings).project_url(7) == "https://label.example.org/projects/7"


def test_an_empty_variable_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("HERO_PORT", "")
    assert Settings.load(tmp_path).port == 9090


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("HERO_PORT", "ninety"),
        ("HERO_PORT", "70000"),
        ("HERO_IMAGE_STORE", "base64"),
        ("LABEL_STUDIO_URL", "localhost:8080"),
        ("HERO_POLL_SECONDS", "0"),
    ],
)
def test_a_value_that_cannot_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, value: str
):
    monkeypatch.setenv(name, value)
    with pytest.raises(SettingsInvalid, match=name) as caught:
        Settings.load(tmp_path)
    assert caught.value.exit_status == 2


def test_secrets_are_made_once(tmp_path: Path):
    made = ensure_secrets(Settings.load(tmp_path))
    assert made.has_secrets
    assert ensure_secrets(Settings.load(tmp_path)) == made
    assert stat.S_IMODE((tmp_path / "env").stat().st_mode) == 0o600


def test_each_key_is_its_own(tmp_path: Path):
    made = ensure_secrets(Settings.load(tmp_path))
    keys = (made.basic_auth_pass, made.webhook_secret, made.image_key, made.cookie_key)
    assert len({key.get_secret_value() for key in keys}) == 4
    assert all(len(key.get_secret_value()) >= 32 for key in keys)
    assert not made.pages_password.get_secret_value()


def test_processes_that_begin_at_once_have_the_same_secrets(tmp_path: Path):
    code = (
        "from backend.settings import Settings, ensure_secrets\n"
        f"s = ensure_secrets(Settings.load({str(tmp_path / 'home')!r}))\n"
        "print(s.webhook_secret.get_secret_value(), s.image_key.get_secret_value(),"
        " s.cookie_key.get_secret_value(), s.basic_auth_pass.get_secret_value())"
    )
    command = [sys.executable, "-c", code]
    several = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(4)]
    said = {process.communicate(timeout=120)[0] for process in several}
    assert len(said) == 1
    assert len(said.pop().split()) == 4


def test_settings_that_were_read_before_another_process_made_the_secrets(tmp_path: Path):
    before = Settings.load(tmp_path)
    made = ensure_secrets(Settings.load(tmp_path))
    assert ensure_secrets(before) == made


def test_a_home_folder_is_its_owners(tmp_path: Path):
    home = tmp_path / "home"
    ensure_secrets(Settings.load(home))
    assert mode(home) == 0o700
    assert mode(home / "env") == mode(home / "env.lock") == 0o600


def test_a_home_folder_of_an_earlier_version_is_closed(tmp_path: Path):
    home = tmp_path / "home"
    for folder in (home, home / "images", home / "runs", home / "label-studio"):
        folder.mkdir()
        folder.chmod(0o755)
    for name in ("hero.db", "env", "images/rose.png"):
        (home / name).touch()
        (home / name).chmod(0o644)
    (home / "link").symlink_to(tmp_path / "elsewhere")
    protect(home)
    assert mode(home) == 0o711, "a Label Studio of another user still reaches the images"
    assert mode(home / "images") == 0o755
    assert mode(home / "images/rose.png") == 0o644
    assert mode(home / "runs") == mode(home / "label-studio") == 0o700
    assert mode(home / "hero.db") == mode(home / "env") == 0o600


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_given_secrets_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("BASIC_AUTH_PASS", "mine")
    settings = ensure_secrets(Settings.load(tmp_path))
    assert settings.basic_auth_pass.get_secret_value() == "mine"
    assert "mine" not in (tmp_path / "env").read_text()


def test_secrets_are_not_shown(tmp_path: Path):
    settings = Settings(
        home=tmp_path,
        label_studio_api_key="token-1",
        basic_auth_pass="password-1",
        webhook_secret="secret-1",
    )
    assert not any(text in repr(settings) for text in ("token-1", "password-1", "secret-1"))


@pytest.mark.parametrize("value", ["it's", 'a "b" $c', "back\\slash", "ü # x", "a=b"])
def test_the_file_keeps_any_value(tmp_path: Path, value: str):
    write_env(tmp_path, {"BASIC_AUTH_PASS": value})
    write_env(tmp_path, {"HERO_PORT": "9091"})
    settings = Settings.load(tmp_path)
    assert settings.basic_auth_pass.get_secret_value() == value
    assert settings.port == 9091


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+psycopg"])
def test_postgres_uses_the_driver_that_is_installed(tmp_path: Path, scheme: str):
    settings = Settings(home=tmp_path, database_url=f"{scheme}://hero@db/hero")
    assert settings.sqlalchemy_url == "postgresql+psycopg://hero@db/hero"


def test_every_setting_is_described():
    assert all(field.description for field in Settings.model_fields.values())

"""The production files say nothing that the code does not know; not every machine has Docker to try them."""

import importlib
import os
import re
import subprocess
import sys
from typing import Any

import pytest
import yaml
from django.core.management import get_commands

from leadflow.celery import QUEUES
from tests.house.installation import OURS, ROOT

GIVEN = {
    "SECRET_KEY": "k9" * 30 + "§$%&/()=?QWERTZ",
    "POSTGRES_PASSWORD": "p",
    "DOMAIN": "leads.example.com",
    "EMAIL_URL": "smtp+tls://user:word@mail.example.com:587",
}


def _filled(text: str) -> str:
    """Fill in ${NAME}, ${NAME:-default} and ${NAME:?why} as Compose does."""

    def value(found: re.Match[str]) -> str:
        name, rest = found.group(1), found.group(2) or ""
        if name in GIVEN:
            return GIVEN[name]
        assert rest.startswith(":-"), (
            f"{name} has no default and is not among what the head of the file asks for"
        )
        return rest[2:]

    before = None
    while before != text:
        before, text = text, re.sub(r"\$\{(\w+)(:[-?][^${}]*)?\}", value, text)
    return text.replace("$$", "$")


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    def walk(node: Any) -> Any:
        if isinstance(node, dict):
            return {key: walk(each) for key, each in node.items()}
        if isinstance(node, list):
            return [walk(each) for each in node]
        return _filled(node) if isinstance(node, str) else node

    return walk(yaml.safe_load((ROOT / "docker-compose.yml").read_text()))


@pytest.fixture(scope="module")
def ours(compose) -> dict[str, dict[str, Any]]:
    """The services that run our image."""
    return {name: each for name, each in compose["services"].items() if each["image"] == "leadflow"}


def test_the_head_of_the_file_names_every_variable_that_must_be_given():
    text = (ROOT / "docker-compose.yml").read_text()
    head = text[: text.index("x-app:")]
    for name in set(re.findall(r"\$\{(\w+):\?", text)):
        assert name in head


def test_every_part_of_the_house_runs(compose, ours):
    assert set(compose["services"]) - set(ours) == {"postgres", "redis"}
    assert compose["services"]["postgres"]["image"] == "postgres:18"
    assert "--appendonly yes" in " ".join(compose["services"]["redis"]["command"])
    served = {
        each["command"][each["command"].index("-Q") + 1] for each in ours.values() if "-Q" in each["command"]
    }
    assert served == set(QUEUES)
    assert sum("beat" in each["command"] for each in ours.values()) == 1


def test_each_command_exists_in_the_code(ours):
    for name, service in ours.items():
        words = service["command"]
        if words[0] == "python":
            assert (ROOT / words[1]).exists()
            assert words[2] in get_commands(), name
        elif words[0] == "gunicorn":
            assert callable(importlib.import_module(words[1]).application)
            helped = subprocess.run(
                [sys.executable, "-m", "gunicorn", "--help"], capture_output=True, text=True
            ).stdout
            assert [word for word in words if word.startswith("--") and word not in helped] == []
        else:
            assert words[:3] == ["celery", "-A", "leadflow"]
            helped = subprocess.run(
                [sys.executable, "-m", "celery", "-A", "leadflow", words[3], "--help"],
                capture_output=True,
                text=True,
            ).stdout
            options = [word.partition("=")[0] for word in words[4:] if word.startswith("-")]
            assert [option for option in options if not re.search(rf"{option}\b", helped)] == [], name


def test_each_variable_is_read_by_the_settings(ours):
    settings = (ROOT / "leadflow" / "settings.py").read_text()
    for service in ours.values():
        for name in service["environment"]:
            assert f'"{name}"' in settings, name


def test_ports_volumes_and_order_fit_together(compose, ours):
    bind = ours["web"]["command"][ours["web"]["command"].index("--bind") + 1]
    inner = ours["web"]["ports"][0].rpartition(":")[2]
    assert bind == f"0.0.0.0:{inner}"
    assert f"localhost:{inner}/healthz" in " ".join(ours["web"]["healthcheck"]["test"])
    assert "localhost" in ours["web"]["environment"]["ALLOWED_HOSTS"].split(",")
    for name, service in compose["services"].items():
        for volume in service.get("volumes", []):
            assert volume.partition(":")[0] in compose["volumes"]
        for other, condition in service.get("depends_on", {}).items():
            assert other in compose["services"], name
            if condition["condition"] == "service_healthy":
                assert compose["services"][other]["healthcheck"]["test"]
        assert "healthcheck" in service, name
    assert "@postgres:5432/" in ours["web"]["environment"]["DATABASE_URL"]
    assert "redis:6379" in ours["web"]["environment"]["REDIS_URL"]


def test_the_image_is_built_in_stages_and_runs_as_nobody_special(ours):
    lines = (ROOT / "Dockerfile").read_text().splitlines()
    assert sum(line.startswith("FROM ") for line in lines) == 2
    assert lines.index("USER leadflow") > max(n for n, line in enumerate(lines) if line.startswith("COPY"))
    assert any(line.startswith("HEALTHCHECK") for line in lines)
    words = re.findall(r'"([^"]+)"', (ROOT / "Dockerfile").read_text().rpartition("\nCMD ")[2])
    assert words == ours["web"]["command"]
    for name in re.findall(r"COPY (?!--)(\S+)", "\n".join(lines)):
        assert name == "." or (ROOT / name).exists()


def _manage(environment: dict[str, str], *words: str) -> "subprocess.CompletedProcess[str]":
    plain = {name: value for name, value in os.environ.items() if name not in OURS and "PYTEST" not in name}
    return subprocess.run(
        [sys.executable, str(ROOT / "manage.py"), *words],
        env=plain | {name: str(value) for name, value in environment.items()},
        capture_output=True,
        text=True,
    )


def test_the_deploy_check_is_clean_under_the_environment_of_the_compose_file(ours, tmp_path):
    done = _manage(
        ours["web"]["environment"] | {"LEADFLOW_DATA": str(tmp_path)},
        "check",
        "--deploy",
        "--fail-level",
        "WARNING",
    )
    assert (done.returncode, "no issues" in done.stdout) == (0, True), done.stdout + done.stderr


def test_the_deploy_check_names_what_is_missing(tmp_path):
    done = _manage({"LEADFLOW_DATA": str(tmp_path), "DEBUG": "true"}, "check", "--deploy")
    assert done.returncode == 1
    for number in (
        "leadflow.E005",
        "leadflow.E006",
        "leadflow.E007",
        "leadflow.W008",
        "leadflow.W009",
        "security.W018",
    ):
        assert number in done.stderr


def test_static_files_can_be_collected_for_the_image(tmp_path, settings):
    from django.core.management import call_command

    settings.STATIC_ROOT = tmp_path
    settings.STORAGES = settings.STORAGES | {
        "staticfiles": {"BACKEND": "whitenoise.storage.CompressedManifestStaticFilesStorage"}
    }
    call_command("collectstatic", interactive=False, verbosity=0)
    assert (tmp_path / "staticfiles.json").exists()

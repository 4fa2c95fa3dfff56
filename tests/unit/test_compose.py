"""docker-compose.yml and the Dockerfiles, as far as they can be judged without a container engine."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from producer.settings import load_settings

ROOT = Path(__file__).resolve().parents[2]
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
DOCKERFILES = ("Dockerfile", "dev/docker/postgres.Dockerfile")
SERVERS = ("postgres", "kafka", "registry", "producer")


def variables(service: str) -> dict[str, str]:
    """A service's environment with the demo's defaults filled in."""
    given = SERVICES[service].get("environment", {})
    return {name: re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", str(value)) for name, value in given.items()}


def test_the_services() -> None:
    assert set(SERVERS) < set(SERVICES)


def test_compose_itself_accepts_the_file_where_it_is_there() -> None:
    """Without the plugin the other tests of this file stand alone."""
    for compose in (["docker", "compose"], ["docker-compose"]):
        if shutil.which(compose[0]) is None:
            continue
        version = subprocess.run([*compose, "version"], capture_output=True, text=True, check=False)
        # Its first generation, in Python, knows an older format.
        if not version.stdout.startswith("Docker Compose version"):
            continue
        command = [*compose, "-f", str(ROOT / "docker-compose.yml"), "config", "-q"]
        told = subprocess.run(command, capture_output=True, text=True, check=False)
        assert told.returncode == 0, told.stderr


@pytest.mark.parametrize("name", SERVERS)
def test_a_server_has_a_health_check(name: str) -> None:
    check = SERVICES[name]["healthcheck"]
    assert check["test"][0] == "CMD"
    assert all(isinstance(word, str) for word in check["test"])
    assert {"interval", "timeout", "retries"} <= set(check)


@pytest.mark.parametrize("name", SERVICES)
def test_what_a_service_waits_for_can_come_true(name: str) -> None:
    for other, wait in SERVICES[name].get("depends_on", {}).items():
        needed = SERVICES[other]
        if wait["condition"] == "service_healthy":
            assert "test" in needed["healthcheck"]
        else:
            assert wait["condition"] == "service_completed_successfully"
            assert needed["restart"] == "no"


def test_the_producer_waits_for_all_servers() -> None:
    waits = SERVICES["producer"]["depends_on"]
    assert all(waits[name]["condition"] == "service_healthy" for name in SERVERS if name != "producer")


@pytest.mark.parametrize("name", SERVICES)
def test_an_image_is_pinned_or_built_from_a_file_that_is_there(name: str) -> None:
    service = SERVICES[name]
    if "image" in service:
        assert re.fullmatch(r"[\w./-]+:\d+\.\d+\.\d+", service["image"])
        return
    build = service["build"]
    context, file = (build, "Dockerfile") if isinstance(build, str) else (build["context"], build["dockerfile"])
    assert (ROOT / context / file).is_file()


@pytest.mark.parametrize("name", SERVICES)
def test_ports_are_published_on_this_machine_alone(name: str) -> None:
    assert all(port.startswith("127.0.0.1:") for port in SERVICES[name].get("ports", []))


@pytest.mark.parametrize("name", SERVICES)
def test_no_password_is_fixed(name: str) -> None:
    for variable, value in SERVICES[name].get("environment", {}).items():
        if "PASSWORD" in variable:
            assert re.fullmatch(r"\$\{\w+:-demo\}", value), variable


def test_both_sides_know_the_same_password_and_role() -> None:
    for variable in ("PRODUCER_DATABASE_USER", "PRODUCER_DATABASE_PASSWORD"):
        assert SERVICES["postgres"]["environment"][variable] == SERVICES["producer"]["environment"][variable]
    assert variables("producer")["PRODUCER_DATABASE_DBNAME"] == variables("postgres")["POSTGRES_DB"]
    assert SERVICES["shop"]["environment"]["PGPASSWORD"] == SERVICES["postgres"]["environment"]["POSTGRES_PASSWORD"]


def test_the_volumes_are_declared() -> None:
    used = {volume.split(":")[0] for service in SERVICES.values() for volume in service.get("volumes", [])}
    assert used == set(COMPOSE["volumes"])


def test_the_producers_variables_are_settings() -> None:
    given = variables("producer")
    assert all(re.fullmatch(r"PRODUCER(_[A-Z0-9]+)+", name) for name in given)
    loaded = load_settings(None, environ=given)
    assert not loaded.warnings
    assert loaded.settings.topic_prefix == "shop"


@pytest.mark.parametrize("file", DOCKERFILES)
def test_hadolint_has_nothing_to_say(file: str) -> None:
    hadolint = Path(sys.executable).with_name("hadolint")
    told = subprocess.run([hadolint, "--no-color", ROOT / file], capture_output=True, text=True, check=False)
    assert told.returncode == 0, told.stdout


@pytest.mark.parametrize("file", DOCKERFILES)
def test_what_a_dockerfile_copies_is_there(file: str) -> None:
    context = (ROOT / file).parent
    copies = re.findall(r"^COPY (?:--\S+ )*(.+) \S+$", (ROOT / file).read_text(), re.MULTILINE)
    assert copies
    for name in " ".join(copies).split():
        assert (context / name).exists(), name


def test_the_build_context_holds_what_is_copied() -> None:
    kept = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    assert kept == {"pyproject.toml", "setup.py", "README.md", "producer", "schemas"}


def test_the_producers_image_runs_the_command_without_rights() -> None:
    instructions = (ROOT / "Dockerfile").read_text().splitlines()
    users = [line for line in instructions if line.startswith("USER ")]
    assert users[-1] == "USER 10001"
    assert 'ENTRYPOINT ["pg-producer"]' in instructions
    assert any(line.startswith("HEALTHCHECK ") for line in instructions)


@pytest.mark.parametrize(
    ("knows", "allowed"),
    [("output_plugin_libraries\tsuperuser", ["-c", "output_plugin_libraries=pgoutput, test_decoding, wal2json"]),
     ("wal_level\tpostmaster", [])],
)  # fmt: skip
def test_wal2json_is_allowed_where_the_server_asks(tmp_path: Path, knows: str, allowed: list[str]) -> None:
    """An older server does not know the setting, and would not start with it."""
    for name, script in {
        "postgres": f"[ $1 = --describe-config ] && printf '%s\\n' '{knows}'",
        "docker-entrypoint.sh": 'printf "%s\\n" "$@"',
    }.items():
        (tmp_path / name).write_text(f"#!/bin/sh\n{script}\n")
        (tmp_path / name).chmod(0o755)
    told = subprocess.run(
        ["sh", ROOT / "dev/docker/allow-wal2json.sh", "postgres", "-c", "wal_level=logical"],
        env={"PATH": f"{tmp_path}:{os.environ['PATH']}"}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert told.stdout.splitlines() == ["postgres", "-c", "wal_level=logical", *allowed]


def test_the_file_is_one_of_the_compose_specification() -> None:
    """By the specification's own JSON schema, which check-jsonschema brings."""
    checker = Path(sys.executable).with_name("check-jsonschema")
    told = subprocess.run(
        [checker, "--builtin-schema", "vendor.compose-spec", ROOT / "docker-compose.yml"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert told.returncode == 0, told.stdout + told.stderr


def test_the_quickstart_page_tells_of_this_file() -> None:
    """Services, ports, passwords, variables and commands are the file's."""
    page = (ROOT / "docs" / "quickstart.md").read_text()
    rows = dict(re.findall(r"^\| `([a-z]+)` \| .*? \|\s*(.*?)\s*\|$", page, re.MULTILINE))
    assert rows.keys() == SERVICES.keys()
    for name, where in rows.items():
        published = [re.sub(r"\$\{\w+:-(\d+)\}:\d+", r"\1", port) for port in SERVICES[name].get("ports", [])]
        assert re.findall(r"[\d.]+:\d+", where) == published, name
    named = set(re.findall(r"`([A-Z_]{5,})`", page))
    assert named == set(re.findall(r"\$\{(\w+):-", (ROOT / "docker-compose.yml").read_text()))
    commands = re.findall(r"docker compose (?:exec|kill|stop|run --rm) (\w+)", page)
    assert {"producer", "postgres", "kafka"} <= set(commands) <= SERVICES.keys()
    given = variables("producer")
    (block,) = re.findall(r"```toml\n(.*?)```", page, re.DOTALL)
    shown = tomllib.loads(block)
    assert shown["database"]["user"] == given["PRODUCER_DATABASE_USER"]
    assert shown["database"]["password"] == given["PRODUCER_DATABASE_PASSWORD"]
    assert shown["database"]["dbname"] == given["PRODUCER_DATABASE_DBNAME"]
    assert f"127.0.0.1:{shown['database']['port']}" == rows["postgres"].strip("`")
    assert shown["bootstrap"]["servers"] == rows["kafka"].strip("`")
    assert shown["schema"]["registry"]["url"] == f"http://{rows['registry'].strip('`')}/apis/ccompat/v7"
    assert given["PRODUCER_SCHEMA_REGISTRY_URL"].endswith("/apis/ccompat/v7")

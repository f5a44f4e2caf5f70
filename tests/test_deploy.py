"""The example files of deployments: each is read, or run, by what it is for."""

import json
import os
import re
import runpy
import subprocess
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import dagster as dg
import pytest
import yaml

from tests.conftest import ROOT

DEPLOY = ROOT / "deploy"
#: Where the image has that folder.
IN_IMAGE = "/opt/deploy"


def content(file: str) -> Any:
    return yaml.safe_load((DEPLOY / file).read_text("utf-8"))


def definitions(file: str) -> dg.Definitions:
    """The code location of a file, given by its path in the image or below `deploy`."""
    path = DEPLOY / file.removeprefix(f"{IN_IMAGE}/")
    defs: dg.Definitions = runpy.run_path(str(path))["defs"]
    dg.Definitions.validate_loadable(defs)
    return defs


def stages(defs: dg.Definitions) -> dict[str, dg.AssetsDefinition]:
    graph = defs.resolve_asset_graph()
    return {key.path[-1]: graph.get(key).assets_def for key in graph.get_all_asset_keys()}


@pytest.fixture(autouse=True)
def elsewhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Nothing is written to the checkout, and no workspace is there."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("STUDY_WORKSPACE", "s3://bucket/example")


def test_the_settings_of_the_docker_instance_are_valid(monkeypatch: pytest.MonkeyPatch) -> None:
    from dagster._core.instance.config import dagster_instance_config
    from dagster._core.workspace.config_schema import process_workspace_config

    monkeypatch.setenv("GRADPIPE_POSTGRES_URL", "postgresql://user@host/db")
    settings, _ = dagster_instance_config(str(DEPLOY / "docker"))
    assert settings["concurrency"]["pools"]["default_limit"] == 1
    assert process_workspace_config(content("docker/workspace.yaml")).success


def test_the_docker_services_run_what_is_in_the_image() -> None:
    compose = content("docker/compose.yaml")
    services = compose["services"]
    (server,) = content("docker/workspace.yaml")["load_from"]
    code = services[server["grpc_server"]["host"]]
    assert str(server["grpc_server"]["port"]) in code["command"]
    assert set(stages(definitions(code["command"][-1]))) >= {"gradient_spectra", "report"}
    context = (DEPLOY / "docker" / code["build"]["context"]).resolve()
    assert context == ROOT
    for service in services.values():
        assert set(service.get("depends_on", {})) <= set(services)
        mounted = {volume.partition(":")[0] for volume in service.get("volumes", [])}
        assert mounted <= set(compose["volumes"])
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", []))
    copied = re.findall(
        r"^COPY(?: --\S+)* (.+) \S+$", (DEPLOY / "docker/Dockerfile").read_text(), re.M
    )
    assert all((ROOT / file).exists() for line in copied for file in line.split())


def test_only_extractions_are_on_gpu_nodes() -> None:
    from dagster_k8s.job import get_user_defined_k8s_config

    (deployment,) = content("kubernetes/values.yaml")["dagster-user-deployments"]["deployments"]
    assert {"name", "image", "port"} <= set(deployment)
    defs = definitions(deployment["dagsterApiGrpcArgs"][-1])
    pods = {
        name: get_user_defined_k8s_config(asset.op.tags).to_dict()
        for name, asset in stages(defs).items()
    }
    selected = {name for name, pod in pods.items() if pod["pod_spec_config"].get("node_selector")}
    limited = {name for name, pod in pods.items() if pod["container_config"].get("resources")}
    assert selected == limited == {"gradient_spectra"}
    assert isinstance(defs.executor, dg.ExecutorDefinition)
    assert defs.executor.name == "k8s"


def test_the_dagster_plus_location_is_valid() -> None:
    from dagster_cloud_cli.config.models import load_dagster_cloud_yaml
    from dagster_k8s.container_context import K8sContainerContext

    text = (DEPLOY / "dagster-plus" / "dagster_cloud.yaml").read_text("utf-8")
    (location,) = load_dagster_cloud_yaml(text).locations
    assert location.code_source is not None
    assert location.code_source.python_file is not None
    assert "report" in stages(definitions(location.code_source.python_file))
    pod = K8sContainerContext.create_from_config(location.container_context)
    variables = {
        entry["name"]: entry["value"] for entry in pod.run_k8s_config.container_config["env"]
    }
    assert variables["STUDY_WORKSPACE"].startswith("s3://")


@pytest.mark.parametrize(
    ("code", "requeued"), [(0, False), (1, False), (130, True)], ids=["done", "failed", "stopped"]
)
def test_a_slurm_job_queues_again_only_at_its_time_limit(
    code: int, requeued: bool, tmp_path: Path
) -> None:
    for name, status in (("srun", code), ("scontrol", 0)):
        command = tmp_path / "bin" / name
        command.parent.mkdir(exist_ok=True)
        command.write_text(f'#!/bin/bash\necho "{name} $*"\nexit {status}\n')
        command.chmod(0o755)
    done = subprocess.run(
        ["bash", str(DEPLOY / "slurm" / "run.sbatch"), "study.yaml"],
        env={"PATH": f"{tmp_path / 'bin'}{os.pathsep}/usr/bin:/bin", "SLURM_JOB_ID": "7"},
        capture_output=True,
        text=True,
        check=False,
    )
    said = done.stdout.splitlines()
    assert said == ["srun gradpipe run --study study.yaml", "scontrol requeue 7"][: 1 + requeued]
    assert done.returncode == (0 if requeued else code)


@pytest.fixture
def messages(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """The texts that a webhook receives."""
    received: list[str] = []

    class Hook(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            received.append(json.loads(body)["text"])
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    with HTTPServer(("127.0.0.1", 0), Hook) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        monkeypatch.setenv("WEBHOOK_URL", f"http://127.0.0.1:{server.server_port}/")
        monkeypatch.setenv("no_proxy", "127.0.0.1")
        yield received
        server.shutdown()
        thread.join()


def test_messages_say_what_failed_and_what_is_new(messages: list[str]) -> None:
    defs = definitions("notifications.py")
    failure, news = (defs.resolve_sensor_def(n) for n in ("failure_message", "report_message"))

    @dg.asset
    def report() -> dg.MaterializeResult[Any]:
        page = dg.MetadataValue.url("/gradpipe/report/index.html")
        metadata = {"computed": 1, "page": page, "excluded_partitions": "none"}
        return dg.MaterializeResult(metadata=metadata)

    @dg.asset
    def failing() -> None:
        raise ValueError("no “room”")

    with dg.DagsterInstance.ephemeral() as instance:
        dg.materialize([report], instance=instance)
        news.evaluate_tick(dg.build_sensor_context(instance))
        result = dg.materialize([failing], instance=instance, raise_on_error=False)
        context = dg.build_run_status_sensor_context(
            "failure_message", result.get_run_failure_event(), instance, result.dagster_run
        )
        failure(context.for_run_failure())
    assert [text.partition(":")[0] for text in messages] == [
        "The report has changed",
        f"{result.dagster_run.job_name} of the study failed",
    ]
    assert "/gradpipe/report/index.html" in messages[0]

"""A code location for Kubernetes: every step is a pod, and only extractions are on GPU nodes."""

import os
from pathlib import Path

import dagster as dg
from dagster_k8s import k8s_job_executor

from gradpipe.dagster import build_study_definitions

GPU_POD = {
    "pod_spec_config": {
        "node_selector": {"nvidia.com/gpu.present": "true"},
        "tolerations": [{"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}],
    },
    "container_config": {
        "resources": {
            "requests": {"cpu": "8", "memory": "64Gi"},
            "limits": {"nvidia.com/gpu": "1", "memory": "64Gi"},
        }
    },
}

defs = dg.Definitions.merge(
    build_study_definitions(
        Path(__file__).parents[1] / "study.yaml",
        workspace=os.environ["STUDY_WORKSPACE"],
        op_tags={"gradient_spectra": {"dagster-k8s/config": GPU_POD}},
    ),
    dg.Definitions(executor=k8s_job_executor),
)

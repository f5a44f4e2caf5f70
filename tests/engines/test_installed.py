"""An installed wheel has the pipeline's packages in a folder that actors have to add themselves."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import gradpipe

#: ``rows.append`` stands for the store's, which the actor unpickles by its module's name.
SCRIPT = """
from gradpipe.system.pipeline_path import add_pipeline_to_path
add_pipeline_to_path()
import rows
from gradpipe.engines.actor import Extractor
from gradpipe.engines.connection import Connection
from gradpipe.engines.settings import RayConfig
connection = Connection(RayConfig(address="local", actors=1, cpus=1))
import ray
actor = ray.remote(Extractor).options(num_cpus=1).remote(None)
(answer,) = [ray.get(part) for part in actor.extract.remote(None, None, rows.append)]
print(answer)
connection.close()
"""


def install(site: Path) -> None:
    """Lay out the library as a wheel does, with a module beside the pipeline's packages."""
    package = site / "gradpipe"
    package.mkdir(parents=True)
    for file in Path(gradpipe.__file__).parent.iterdir():
        if file.name not in ("__pycache__", "_pipeline"):
            (package / file.name).symlink_to(file)
    # A package is looked for beside the real path of its first file.
    (package / "__init__.py").unlink()
    (package / "__init__.py").write_bytes(Path(gradpipe.__file__).read_bytes())
    (package / "_pipeline").mkdir()
    (package / "_pipeline" / "rows.py").write_text("def append(frame): ...\n")


@pytest.mark.slow
def test_an_actor_finds_the_packages_of_a_wheel(tmp_path: Path) -> None:
    install(tmp_path / "site")
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(tmp_path / "site")},
        capture_output=True,
        encoding="utf-8",
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "load() comes first" in done.stdout

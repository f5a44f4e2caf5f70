"""A Dagster project of somebody else, whose modules have the names of the pipeline's packages."""

import json
import subprocess
from pathlib import Path

FILES = {
    "assets.py": "import dagster as dg\n\n@dg.asset\ndef theirs() -> None: ...\n",
    "storage.py": "import assets\n\nASSETS = [assets.theirs]\n",
    "definitions.py": """
import dagster as dg
from gradpipe.dagster import build_study_definitions
from storage import ASSETS

study = {"models": ["demo"], "benchmarks": ["mini_maths"]}
defs = dg.Definitions.merge(
    build_study_definitions({**study, "name": "one"}),
    dg.Definitions(assets=ASSETS),
    build_study_definitions({**study, "name": "two"}),
)
""",
    "look.py": """
import json
import definitions, assets, storage

keys = definitions.defs.resolve_asset_graph().get_all_asset_keys()
files = [module.__file__ for module in (definitions, assets, storage)]
print(json.dumps({"keys": [key.to_user_string() for key in keys], "files": files}))
""",
}


def keys_of_project(folder: Path, python: str, environment: dict[str, str]) -> list[str]:
    """Load the project in ``folder`` and return the keys of its assets.

    Fails if one of its modules is gradpipe's instead of its own, or if loading writes anything.
    """
    for name, text in FILES.items():
        (folder / name).write_text(text)
    done = subprocess.run(
        [python, "-B", "look.py"],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    theirs = [folder / name for name in ("definitions.py", "assets.py", "storage.py")]
    assert found["files"] == [str(path) for path in theirs]
    assert {path.name for path in folder.iterdir()} == set(FILES)
    return sorted(found["keys"])

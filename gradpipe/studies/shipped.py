"""The studies that come with gradpipe, as files beside this one."""

from importlib import resources


def shipped_studies() -> list[str]:
    """The names of the studies that come with gradpipe."""
    folder = resources.files("gradpipe.studies")
    return sorted(entry.name[:-5] for entry in folder.iterdir() if entry.name.endswith(".yaml"))


def shipped_study(name: str) -> str:
    """The YAML of one of them."""
    return (resources.files("gradpipe.studies") / f"{name}.yaml").read_text("utf-8")

"""``gradpipe completion``: the script with which a shell completes commands, options and names."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

#: The program's name in the shell, and the variable by which the script asks it.
_PROGRAM, _VARIABLE = "gradpipe", "_GRADPIPE_COMPLETE"


@click.command("completion")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion_command(context: click.Context, shell: str) -> None:
    """Print the script that completes words in a shell.

    It completes commands, options, the models and benchmarks of the workspace's study, built-in
    studies, statistics, styles and files. Load it when the shell starts:

    \b
    bash  echo 'eval "$(gradpipe completion bash)"' >> ~/.bashrc
    zsh   echo 'eval "$(gradpipe completion zsh)"' >> ~/.zshrc
    fish  gradpipe completion fish > ~/.config/fish/completions/gradpipe.fish
    """
    complete = get_completion_class(shell)
    assert complete is not None, "a choice of click's own shells"
    root = context.find_root().command
    click.echo(complete(root, {}, _PROGRAM, _VARIABLE).source())

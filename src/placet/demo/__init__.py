"""The whole path on one machine, on real parts, told as a story; and what must not work."""

from __future__ import annotations

import json
import signal
import sys
import tempfile
import time
from pathlib import Path

from rich.console import Console

from placet.demo.story import Story
from placet.demo.world import Failed, World, fresh_folder

__all__ = ["run"]


def run(folder: Path | None, *, keep: bool = False, json_output: bool = False) -> int:
    """Run the demo; returns 0 if everything worked that must, and nothing that must not.

    Args:
        folder: Where to work; a new temporary folder if None.
        keep: Leave the servers running, print how to go on by hand, and wait for Ctrl-C.
        json_output: Print what was found as one JSON object instead of the story.
    """
    console = Console(stderr=json_output, highlight=False)
    root = fresh_folder(folder.resolve()) if folder else Path(tempfile.mkdtemp(prefix="placet-demo-"))
    signal.signal(signal.SIGTERM, _interrupt)
    started = time.monotonic()
    try:
        with World.start(root) as world:
            story = Story(world, console)
            story.tell()
            console.print(f"\nThe whole path took {time.monotonic() - started:.0f} s.")
            if json_output:
                print(json.dumps(story.facts))
            if keep:
                _wait(world, console)
    except Failed as error:
        console.print(f"The demo failed: {error}", style="red", markup=False)
        return 1
    console.print(f"Everything is still there to look at: [bold]{root}[/bold]")
    return 0


def _wait(world: World, console: Console) -> None:
    researcher, alice = world["researcher"], world["alice"]
    env = " ".join(f"{key}={alice.env[key]}" for key in ("HOME", "PLACET_HOME"))
    console.print(
        f"""
The servers are running. By hand, in another terminal:

  export PATH={Path(sys.executable).parent}:$PATH
  cd {researcher.folder}/results && git log --first-parent published
  cd {alice.folder} && {env} placet list

Ctrl-C ends them."""
    )
    try:
        signal.pause()
    except KeyboardInterrupt:
        console.print("Ending.")


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt

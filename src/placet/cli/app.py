"""The program: common options, errors, exit codes, and the commands, each loaded when it is run."""

from __future__ import annotations

import io
import logging
import sys
import traceback
from importlib import import_module

import click

from placet.cli import interrupt
from placet.cli.clean import clean
from placet.cli.output import CleanFormatter, Output, as_json, output, plain
from placet.errors import PlacetError

EPILOG = (
    "Common options, anywhere: --json (one object on stdout, also for errors), -q, -v, --no-progress. "
    "Exit codes: 0 done, 1 failure, 2 usage, 3 partly done (run again), 10 not found, 11 conflict, "
    "12 refused by policy, 13 verification failed, 130 interrupted."
)
_COMMANDS = {
    "setup": ("init", "keygen", "demo", "git-token"),
    "data": ("track", "status", "push", "fetch", "checkout", "pull", "gc"),
    "author": ("propose", "list", "show", "diff", "withdraw", "log"),
    "review": ("check", "approve", "reject", "return", "merge"),
    "node": ("promote", "doctor"),
    "notify": ("notify",),
    "adopt": ("adopt",),
    "undo": ("retract",),
    "agent": ("agent",),
    "witness": ("witness",),
    "freeze": ("freeze", "unfreeze", "freezes"),
    "lineage": ("lineage",),
    "proof": ("verify", "bundle", "checkpoint"),
    "policy": ("policy",),
    "scrub": ("scrub",),
    "hook": ("hook",),
    "mlflow": ("mlflow",),
}
_MODULES = {command: module for module, commands in _COMMANDS.items() for command in commands}


class _Lazy(click.Group):
    """A group that imports a command's module when the command is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """All commands, by name."""
        del ctx
        return sorted(_MODULES)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """One command; those whose names are Python's own words have a trailing underscore there."""
        del ctx
        if cmd_name not in _MODULES:
            return None
        module = import_module(f"placet.cli.{_MODULES[cmd_name]}")
        name = cmd_name.replace("-", "_")
        found: click.Command = getattr(module, name, None) or getattr(module, f"{name}_")
        return found


app = _Lazy(
    name="placet",
    help="Governed, verified publication of DVC data: nothing leaves until the right people approved"
    " exactly these bytes, and anyone can check it afterwards.",
    epilog=EPILOG,
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
)


def run(argv: list[str]) -> int:
    """Run the program with these arguments; returns the exit code, and never raises."""
    arguments = output.take(argv)
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(CleanFormatter("%(levelname)s %(name)s: %(message)s"))
    logging.basicConfig(handlers=[handler], level=logging.DEBUG if output.verbose else logging.WARNING)
    try:
        try:
            code = app.main(arguments, prog_name="placet", standalone_mode=False)
        finally:
            output.close()
    except PlacetError as error:
        return _failed(output, error)
    except click.exceptions.Exit as error:
        return error.exit_code
    except click.ClickException as error:
        return _usage(output, error)
    except (KeyboardInterrupt, click.Abort):
        interrupt.say()
        return interrupt.INTERRUPTED
    except BrokenPipeError:
        return 0
    except Exception as error:  # noqa: BLE001 - the last line of defence before the user
        return _bug(output, error)
    return code if isinstance(code, int) else 0


def _failed(out: Output, error: PlacetError) -> int:
    if out.json:
        print(as_json(plain(error.to_dict())))
    else:
        _complain(error.what, error.why, error.mend)
    _trace(out, error)
    return error.exit_code


def _usage(out: Output, error: click.ClickException) -> int:
    if out.json:
        print(as_json({"error": "Usage", "kind": "usage", "what": error.format_message(), "exit_code": 2}))
    else:
        text = io.StringIO()
        error.show(text)
        print(clean(text.getvalue()), file=sys.stderr, end="")
    return 2


def _bug(out: Output, error: Exception) -> int:
    what = f"Placet made a mistake: {type(error).__name__}: {error}"
    if out.json:
        print(as_json({"error": "Bug", "kind": "bug", "what": what, "exit_code": 1}))
    else:
        _complain(what, "Please report it; -v shows where. Nothing that was written is half done.")
    _trace(out, error)
    return 1


def _complain(what: str, *more: str) -> None:
    print(clean(f"error: {what}"), file=sys.stderr)
    for text in more:
        if text:
            print(clean(f"       {text}"), file=sys.stderr)


def _trace(out: Output, error: Exception) -> None:
    if out.verbose:
        print(clean("".join(traceback.format_exception(error))), file=sys.stderr, end="")

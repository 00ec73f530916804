# SPDX-License-Identifier: MIT
"""The verbs that the original does not have: plan, reload, check, status.

typer reads their words; each verb is a module of its own, loaded when it is asked for.
cli/wg_quick.py comes here only for these first words, so that the classic verbs never
load typer, rich or pydantic.  Exit statuses and JSON: docs/decisions/0023.
"""

from __future__ import annotations

from typing import Annotated

import typer

from wgtools.cli import streams

__all__ = ["VERBS", "run"]

VERBS = ("plan", "reload", "check", "status")

_JSON = typer.Option("--json", help="Print one JSON object, for programs.")
# Hidden: typer would explain it with Python's types.  Each verb's own text does.
_NAME = typer.Argument(metavar="CONFIG_FILE|INTERFACE", hidden=True)

_app = typer.Typer(
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    help="wg-quick's own verbs.",
)


@_app.command()
def plan(
    name: Annotated[str, _NAME],
    as_json: Annotated[bool, _JSON] = False,
    engine: Annotated[
        str,
        typer.Option(metavar="ENGINE", help="auto, kernel, embedded or a program, as for up."),
    ] = "",
    up: Annotated[bool, typer.Option("--up", help="Only what `up` would do.")] = False,
) -> int:
    """Tell what `up` would do, or, of a running interface, what `reload` would change.

    INTERFACE means /etc/wireguard/INTERFACE.conf; a CONFIG_FILE has a slash in it.

    Touches nothing.  Exit status: 0 nothing would change, 2 something would, 1 an error.
    """
    from wgtools.cli import quick_plan

    return quick_plan.run(name, as_json=as_json, engine=engine, up_only=up)


@_app.command()
def reload(
    name: Annotated[str, _NAME],
    as_json: Annotated[bool, _JSON] = False,
) -> int:
    """Bring a running interface to what its file says, touching only what differs.

    INTERFACE means /etc/wireguard/INTERFACE.conf; a CONFIG_FILE has a slash in it.

    Hooks are not run.  All or nothing: a failure undoes what was done.
    Exit status: 0 it is as the file says, 1 it is as it was.
    """
    from wgtools.cli import quick_reload

    return quick_reload.run(name, as_json=as_json)


@_app.command()
def check(
    files: Annotated[list[str], typer.Argument(metavar="FILE", hidden=True)],
    as_json: Annotated[bool, _JSON] = False,
    ignore: Annotated[
        list[str] | None,
        typer.Option(metavar="CODE", help="Leave out remarks of this code, e.g. world-readable."),
    ] = None,
) -> int:
    """Look for mistakes in configuration files; nothing is touched or looked up.

    FILE is a path; a name that is no file here means /etc/wireguard/FILE.conf.

    Exit status: 0 nothing to complain of, 1 errors, 2 warnings only.
    """
    from wgtools.cli import quick_check

    return quick_check.run(files, as_json=as_json, ignore=ignore or [])


@_app.command()
def status(
    name: Annotated[str, typer.Argument(metavar="INTERFACE", hidden=True)] = "",
    as_json: Annotated[bool, _JSON] = False,
) -> int:
    """Tell what is up, from which file, by which engine, and how far from its file.

    Of INTERFACE only, if one is named; it may be the path of its file as well.

    Exit status: 0, or 1 when the named interface is not up.
    """
    from wgtools.cli import quick_status

    return quick_status.run(name, as_json=as_json)


def run(program: str, words: list[str]) -> int:
    """Run one of VERBS; the exit status.  WgError and OSError are the caller's to print."""
    try:
        status = _app(args=words, prog_name=program, standalone_mode=False)
    except typer.Exit as end:
        return end.exit_code
    except typer.Abort:
        return 1
    except Exception as error:
        # click's usage errors; typer carries a click of its own, whose module is private.
        if not hasattr(error, "format_message"):
            raise
        streams.tell(f"{program} {words[0]}: {error.format_message()}")
        streams.tell(f"\nhint: {program} {words[0]} --help tells what can be given")
        return 1
    return status if isinstance(status, int) else 0

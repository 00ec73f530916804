# SPDX-License-Identifier: MIT
"""The removal of a link, waited for as long as anybody can see the link and no longer.

RTM_DELLINK is answered when the kernel has freed the memory too, 12 to 20 ms after the
link, its addresses and its routes have gone: half of what a `down` takes.  That last
wait is held by a child, which nobody waits for; whatever it cannot tell is asked again.
"""

from __future__ import annotations

import errno
import os
import select
import sys

from wgtools.errors import AccessError
from wgtools.quick import rtlinks, rtnetlink

__all__ = ["remove_link"]

_CHILDREN: list[int] = []  # that were not waited for: the next removal, or init, sees to them


def remove_link(index: int, name: str) -> None:
    """Return when the link is gone, with all that hung on it.  Raises AccessError."""
    with rtnetlink.Door(rtnetlink.LINKS) as notices:
        answer = -1 if _has_threads() else _ask_in_child(index, name)
        if answer < 0:
            rtlinks.delete_link(index, name)
            return
        try:
            code = _first_news(notices, answer, index)
        finally:
            os.close(answer)
    if code is None:  # the child ended without a word
        rtlinks.delete_link(index, name)
    elif code:
        raise AccessError(f"link {name}: {os.strerror(code)}", errno=code)


def _has_threads() -> bool:
    """Whether this is a program that a fork could leave with a lock held."""
    threading = sys.modules.get("threading")
    return threading is not None and threading.active_count() > 1


def _ask_in_child(index: int, name: str) -> int:
    """Where the child's answer is to be read; -1 if there can be no child."""
    _CHILDREN[:] = [child for child in _CHILDREN if not _has_ended(child)]
    answer, told = os.pipe()
    try:
        child = os.fork()
    except OSError:  # the limit on processes
        os.close(answer)
        os.close(told)
        return -1
    if not child:
        _be_the_child(index, name, told)
    _CHILDREN.append(child)
    os.close(told)
    return answer


def _has_ended(child: int) -> bool:
    try:
        return os.waitpid(child, os.WNOHANG)[0] == child
    except ChildProcessError:
        return True


def _be_the_child(index: int, name: str, told: int) -> None:
    """Ask, tell the errno, end: whoever reads our output or wants our lock is not kept waiting."""
    try:
        os.closerange(0, told)
        try:
            rtlinks.delete_link(index, name)
            code = 0
        except AccessError as error:
            code = error.errno or errno.EIO
        os.write(told, bytes([code]))
    finally:
        os._exit(0)


def _first_news(notices: rtnetlink.Door, answer: int, index: int) -> int | None:
    """0 when the link is gone, the errno of a refusal, None when the child has died."""
    waiting = select.poll()
    waiting.register(answer, select.POLLIN)
    waiting.register(notices.fileno(), select.POLLIN)
    while True:
        ready = {handle for handle, _ in waiting.poll()}
        if notices.fileno() in ready and _is_gone(notices, index):
            return 0
        if answer in ready:
            told = os.read(answer, 1)
            return told[0] if told else None


def _is_gone(notices: rtnetlink.Door, index: int) -> bool:
    """Whether what comes says so, and the rest of the link (its place in /sys) is gone too.

    The notice is sent while the kernel still holds the lock that a question waits for.
    """
    try:
        return rtlinks.tells_of_removal(notices.take(), index) and not rtlinks.is_there(index)
    except AccessError:  # notices were lost: the child's answer will do
        return False

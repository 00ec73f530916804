# SPDX-License-Identifier: MIT
"""The scripts for OpenRC and runit, run by the real ones in a bare root.

Never by this machine's own init: a Root has processes and a /run of its own.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.packaging.roots import Root

EXAMPLES = "/usr/share/doc/wgtools/examples"
CONF = """umask 077
printf '[Interface]\\nPrivateKey = %s\\nAddress = 10.9.{0}.1/24\\n' "$(wgtools-wg genkey)" \
    > /etc/wireguard/wg{0}.conf"""
# Who runs the engine, not who supervises it.
ENGINE = "$(grep -l '[l]ibexec/wgtools' /proc/[0-9]*/cmdline | cut -d/ -f3)"
SECONDS = 30  # that a change of state may take on a busy machine


def until(root: Root, condition: str) -> None:
    root.run(f"timeout {SECONDS} sh -c 'until {condition}; do :; done'")


def links(root: Root) -> set[str]:
    told = root.run("ip -o link show")
    return {line.split(": ")[1] for line in told.splitlines()} - {"lo"}


# ------------------------------------------------------------------ OpenRC


@pytest.fixture
def openrc(deb: Path, inits: Path, root: Root) -> Root:
    """A root as OpenRC booted it; only our own names are there, as beside wireguard-tools."""
    (main,) = deb.glob("wgtools_*.deb")
    needed = ("openrc", "insserv", "libeinfo1", "librc1")
    root.copy(main, *(path for name in needed for path in inits.glob(f"{name}_*.deb")))
    root.run("dpkg -i /var/tmp/*.deb")
    root.run(f"cp {EXAMPLES}/openrc/* /etc/init.d/; mkdir -p /run/openrc")
    root.run("touch /run/openrc/softlevel; ln -s wg-quick /etc/init.d/wg-quick.wg7")
    root.run(CONF.format(7))
    return root


def service(root: Root, *words: str) -> tuple[int, str]:
    done = root.call(f"rc-service {' '.join(words)} 2>&1")
    return done.returncode, done.stdout


def test_openrc_tunnel(openrc: Root) -> None:
    root, tunnel = openrc, "wg-quick.wg7"
    assert service(root, tunnel, "status") == (3, " * status: stopped\n")
    assert service(root, tunnel, "reload")[0] == 1  # of what was not started
    code, told = service(root, tunnel, "start")
    assert code == 0, told
    assert "Bringing up wg7 ..." in told
    assert "10.9.7.1/24" in root.run("ip address show wg7")
    assert service(root, tunnel, "status") == (0, " * status: started\n")

    before = root.run("ip -o link show wg7; wgtools-wg show wg7")
    root.run("echo 'Address = 10.9.77.1/24' >> /etc/wireguard/wg7.conf")
    code, told = service(root, tunnel, "reload")
    assert code == 0, told
    assert "10.9.77.1/24" in root.run("ip address show wg7")
    assert root.run("ip -o link show wg7; wgtools-wg show wg7") == before

    code, told = service(root, tunnel, "restart")
    assert code == 0, told
    assert root.run("ip -o link show wg7; wgtools-wg show wg7") != before

    # Taken down by hand: told, and no reason for `stop' to fail.
    root.run("wgtools-wg-quick down wg7")
    code, told = service(root, tunnel, "status")
    assert (code, "wg7 is not up" in told) == (32, True)
    assert service(root, tunnel, "stop")[0] == 0
    assert service(root, tunnel, "status")[0] == 3
    # And up by hand: taken over.
    root.run("wgtools-wg-quick up wg7")
    assert service(root, tunnel, "start")[0] == 0
    assert service(root, tunnel, "stop")[0] == 0
    assert links(root) == set()


def test_openrc_start_that_fails(openrc: Root) -> None:
    root = openrc
    root.run("ln -s wg-quick /etc/init.d/wg-quick.none")
    code, told = service(root, "wg-quick.none", "start")
    assert code == 1
    assert "/etc/wireguard/none.conf' does not exist" in told
    assert service(root, "wg-quick.none", "status")[0] == 3

    # All there are: one that fails keeps no other from its turn, and mended it joins them.
    root.run(CONF.format(8) + "; sed -i s/PrivateKey/PrivatKey/ /etc/wireguard/wg8.conf")
    code, told = service(root, "wg-quick", "start")
    assert code == 1
    assert "did you mean PrivateKey?" in told
    assert links(root) == {"wg7"}
    root.run("sed -i s/PrivatKey/PrivateKey/ /etc/wireguard/wg8.conf")
    code, told = service(root, "wg-quick", "start")
    assert code == 0, told
    assert links(root) == {"wg7", "wg8"}
    code, told = service(root, "wg-quick", "stop")
    assert code == 0, told
    assert told.index("delete dev wg8") < told.index("delete dev wg7")
    assert links(root) == set()


def test_openrc_boots_and_leaves_with_tunnels(openrc: Root) -> None:
    root = openrc
    # Nothing else is started: a script that sets the clock would set this machine's.
    root.run("rm -f /run/openrc/softlevel /etc/runlevels/*/*; rc-update add wg-quick.wg7 default")
    told = root.run("{ openrc sysinit; openrc boot; openrc default; } 2>&1")
    assert "Bringing up wg7" in told
    assert "10.9.7.1/24" in root.run("ip address show wg7")
    assert "wg-quick.wg7" in root.run("rc-status --servicelist | grep started")
    told = root.run("openrc nonetwork 2>&1")
    assert "Taking down wg7" in told
    assert links(root) == set()


def test_openrc_engine(openrc: Root) -> None:
    root, engine = openrc, "wgtools-engine.wg9"
    code, told = service(root, "wgtools-engine", "start")
    assert (code, "Which interface?" in told) == (1, True)
    root.run("ln -s wgtools-engine /etc/init.d/wgtools-engine.wg9")
    code, told = service(root, engine, "start")
    assert code == 0, told
    assert root.run("wgtools-wg show wg9") == "interface: wg9\n"  # at once: it was waited for
    assert service(root, engine, "status") == (0, " * status: started\n")
    first = root.run(f"echo {ENGINE}")
    code, told = service(root, engine, "restart")
    assert code == 0, told
    second = root.run(f"echo {ENGINE}")
    assert second != first
    # Killed, it comes again by itself.
    root.run(f"kill -9 {ENGINE}")
    until(root, "wgtools-wg show wg9 >/dev/null 2>&1")
    assert root.run(f"echo {ENGINE}") != second
    code, told = service(root, engine, "stop")
    assert code == 0, told
    assert links(root) == set()

    long = "wgtools-engine.far-too-long-a-name"
    root.run(f"ln -s wgtools-engine /etc/init.d/{long}")
    code, told = service(root, long, "start")
    assert code == 1
    assert "An interface name has at most 15 bytes" in told
    assert service(root, long, "status")[0] == 3
    assert root.run("cat /proc/[0-9]*/cmdline").count("supervise-daemon") == 0


# ------------------------------------------------------------------ runit


@pytest.fixture
def runit(deb: Path, inits: Path, root: Root) -> Root:
    """A root in which runsvdir looks after what is in /etc/service; compat's names are there."""
    root.copy(*deb.glob("*.deb"), *inits.glob("runit*.deb"), *inits.glob("sysuser*.deb"))
    root.run("dpkg -i /var/tmp/*.deb")
    root.run("rm -f /etc/service/*; runsvdir -P /etc/service >/var/log/runit 2>&1 </dev/null &")
    root.run(CONF.format(7))
    return root


def supervise(root: Root, example: str, name: str) -> None:
    root.run(f"cp -a {EXAMPLES}/runit/{example} /etc/sv/{name}; ln -s /etc/sv/{name} /etc/service")
    until(root, f"[ -p /etc/service/{name}/supervise/control ]")


def test_runit_tunnel(runit: Root) -> None:
    root, sv = runit, f"sv -w {SECONDS}"
    supervise(root, "wg-quick", "wg-quick-wg7")
    told = root.run(f"{sv} start wg-quick-wg7")
    assert told.startswith("ok: run: wg-quick-wg7: ")
    assert "10.9.7.1/24" in root.run("ip address show wg7")

    before = root.run("ip -o link show wg7; wg show wg7")
    root.run("echo 'Address = 10.9.77.1/24' >> /etc/wireguard/wg7.conf")
    root.run(f"{sv} reload wg-quick-wg7")
    until(root, "ip address show wg7 | grep -q 10.9.77.1/24")
    assert root.run("ip -o link show wg7; wg show wg7") == before
    assert root.run(f"{sv} restart wg-quick-wg7").startswith("ok: run: ")
    assert root.run("ip -o link show wg7; wg show wg7") != before

    # Whatever ends `run', the tunnel is taken down and comes again.
    before = root.run("ip -o link show wg7")
    root.run("kill -9 $(cat /etc/service/wg-quick-wg7/supervise/pid)")
    until(root, f'ip -o link show wg7 2>/dev/null | grep -qv "^{before.split(":")[0]}:"')
    assert root.run(f"{sv} start wg-quick-wg7").startswith("ok: run: ")
    assert root.run(f"{sv} stop wg-quick-wg7").startswith("ok: down: ")
    assert links(root) == set()


def test_runit_start_that_fails(runit: Root) -> None:
    root = runit
    supervise(root, "wg-quick", "wg-quick-none")
    told = root.call("sv -w 1 start wg-quick-none")
    assert (told.returncode, told.stdout.partition(":")[0]) == (1, "timeout")
    assert "/etc/wireguard/none.conf' does not exist" in root.run("cat /var/log/runit")
    root.run(f"sv -w {SECONDS} stop wg-quick-none")


def test_runit_engine(runit: Root) -> None:
    root, sv = runit, f"sv -w {SECONDS}"
    supervise(root, "wgtools-engine", "wgtools-engine-wg9")
    assert root.run(f"{sv} start wgtools-engine-wg9").startswith("ok: run: ")
    assert root.run("wg show wg9") == "interface: wg9\n"
    first = root.run(f"echo {ENGINE}")
    root.run(f"kill -9 {ENGINE}")
    until(root, f'[ "$(cat /etc/service/wgtools-engine-wg9/supervise/pid)" != {first.strip()} ]')
    assert root.run(f"{sv} start wgtools-engine-wg9").startswith("ok: run: ")
    assert root.run("wg show wg9") == "interface: wg9\n"
    assert root.run(f"{sv} stop wgtools-engine-wg9").startswith("ok: down: ")
    assert links(root) == set()

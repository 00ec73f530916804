# SPDX-License-Identifier: MIT
"""The numbers of WireGuard, first those of the specification, then those of its implementations.

Times in seconds, sizes in bytes.  A number that follows from others is written as that sum;
all of them are settled when this is imported, and none depends on the machine.  What each
of them does is held to the figure itself, not to its name, in tests/unit/engine.
"""

from __future__ import annotations

# --- the specification: whitepaper section 6.1 ---

REKEY_AFTER_MESSAGES = 2**60
REJECT_AFTER_MESSAGES = 2**64 - 2**13 - 1
REKEY_AFTER_TIME = 120.0
REJECT_AFTER_TIME = 180.0
REKEY_ATTEMPT_TIME = 90.0
REKEY_TIMEOUT = 5.0
KEEPALIVE_TIMEOUT = 10.0
COOKIE_LIFETIME = 120.0  # whitepaper 5.4.7: "every two minutes"

# --- the specification: whitepaper section 5.4 ---

CONSTRUCTION = b"Noise_IKpsk2_25519_ChaChaPoly_BLAKE2s"
IDENTIFIER = b"WireGuard v1 zx2c4 Jason@zx2c4.com"
LABEL_MAC1 = b"mac1----"
LABEL_COOKIE = b"cookie--"
PADDING_MULTIPLE = 16  # whitepaper 5.4.6

# --- derived moments ---

# whitepaper 6.2: a receiver asks for new keys while a reply can still use the old ones
REKEY_ON_RECEIVE_TIME = REJECT_AFTER_TIME - KEEPALIVE_TIMEOUT - REKEY_TIMEOUT
NEW_HANDSHAKE_TIME = KEEPALIVE_TIMEOUT + REKEY_TIMEOUT  # whitepaper 6.5: we stopped hearing
ERASE_KEYS_TIME = 3 * REJECT_AFTER_TIME  # whitepaper 6.3
MAX_HANDSHAKE_ATTEMPTS = int(REKEY_ATTEMPT_TIME / REKEY_TIMEOUT)  # whitepaper 6.4

# --- what implementations agree on (wireguard-go, device/constants.go) ---

REKEY_JITTER_MS = 334  # up to 333 ms are added to retries
INITIATIONS_PER_SECOND = 50  # from one peer; more often is a flood
STAGED_PACKETS = 128  # per peer while a handshake is under way; the newest are kept
WINDOW_BITS = 8192  # replay bitmap; RFC 6479 keeps one word of it in reserve

# --- our own: each bounds what others can make us spend ---

# Sixteen super-packets of 64 KiB: more of a stream than TCP sends before its first answer.
STAGED_BYTES = 1 << 20  # per peer: super-packets count by their bytes
STAGED_BYTES_ALL = 64 << 20  # 64 such peers at once; 10,000 of them must not be 10 GB
# Far over the one turn of the loop that a shell lets pass; more is dropped and counted.
OUTGOING_BYTES = 32 << 20  # waiting in `outgoing()`
OUTGOING_EVENTS = 1024  # the same for events: one for each of 1,000 peers; a log needs no more
HANDSHAKES_PER_SECOND = 200  # taken up without asking for cookies: a quarter of one core
LIMIT_PER_SECOND = 20  # handshakes of one source: a /32 or /64 (as wireguard-go, ratelimiter)
LIMIT_BURST = 5  # the same
# A true cookie comes first or soon after; eight AEADs are less than the answer they wait for.
COOKIE_TRIES = 8  # wrong cookie replies to one message of ours before no more are looked at
LIMIT_SOURCES = 16384  # remembered at once: some 2 MB, 80 times what we take up in a second
DATAGRAMS_PER_SEND = 64  # UDP_MAX_SEGMENTS of udp(7)
BYTES_PER_SEND = 65000  # below the 65,507 that fit in one IPv4 datagram
# As many busy hosts as a /20 holds, in under 1 MB; a scan of more costs the lookups it saved.
FLOWS = 4096  # destinations remembered in front of the allowed-IP lookup

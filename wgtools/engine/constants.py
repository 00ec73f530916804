# SPDX-License-Identifier: MIT
"""The numbers of WireGuard, first those of the specification, then those of its implementations.

Times in seconds, sizes in bytes.  Nothing is computed at run time from anything else here.
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

# --- our own ---

STAGED_BYTES = 1 << 20  # per peer: super-packets count by their bytes
STAGED_BYTES_ALL = 64 << 20  # over all peers of a device
OUTGOING_BYTES = 32 << 20  # waiting in `outgoing()`; more is dropped and counted
OUTGOING_EVENTS = 1024  # the same for events; the log does not need more
HANDSHAKES_PER_SECOND = 200  # taken up without asking for cookies: a quarter of one core
LIMIT_PER_SECOND = 20  # handshakes of one source: a /32 or /64 (as wireguard-go, ratelimiter)
LIMIT_BURST = 5
COOKIE_TRIES = 8  # wrong cookie replies to one message of ours before no more are looked at
LIMIT_SOURCES = 16384  # remembered at once
DATAGRAMS_PER_SEND = 64  # UDP_MAX_SEGMENTS of udp(7)
BYTES_PER_SEND = 65000  # below the 65,507 that fit in one IPv4 datagram
FLOWS = 4096  # destinations remembered in front of the allowed-IP lookup

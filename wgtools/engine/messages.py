# SPDX-License-Identifier: MIT
"""The four messages on the wire, as fields of bytes (whitepaper 5.4.2 to 5.4.7).

Layouts only: what the fields mean is in noise.py, cookie.py and session.py.  Every
message opens with a little-endian 32-bit type, that is one byte of type and three
reserved zero bytes: a message with others there is malformed.
"""

from __future__ import annotations

from struct import Struct

__all__ = [
    "COOKIE_REPLY",
    "INITIATION",
    "RESPONSE",
    "TRANSPORT",
]

TYPE_INITIATION = 1
TYPE_RESPONSE = 2
TYPE_COOKIE_REPLY = 3
TYPE_TRANSPORT = 4

# type, sender, ephemeral, sealed static, sealed timestamp; then mac1, mac2
INITIATION = Struct("<II32s48s28s")
# type, sender, receiver, ephemeral, sealed nothing; then mac1, mac2
RESPONSE = Struct("<III32s16s")
# type, receiver, nonce, sealed cookie
COOKIE_REPLY = Struct("<II24s32s")
# type, receiver, counter; then the sealed packet
TRANSPORT = Struct("<IIQ")
NONCE = Struct("<4xQ")  # whitepaper 5.4.6: 32 zero bits, then the counter

INITIATION_SIZE = 148
RESPONSE_SIZE = 92
COOKIE_REPLY_SIZE = 64
TRANSPORT_HEADER = 16
TAG = 16
KEEPALIVE_SIZE = TRANSPORT_HEADER + TAG  # an empty transport message
MAC2_SIZE = 16

SIZES = {
    TYPE_INITIATION: INITIATION_SIZE,
    TYPE_RESPONSE: RESPONSE_SIZE,
    TYPE_COOKIE_REPLY: COOKIE_REPLY_SIZE,
}

# SPDX-License-Identifier: MIT
"""Configuration text and words on one side, the model on the other; no I/O here."""

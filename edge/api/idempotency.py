"""The idempotency key of a start: from the body, the query or Conductor's two headers.

What a key that was used before means is decided on the disk thread.
"""

from __future__ import annotations

from typing import Any

from edge.api.call import Call


def with_idempotency(call: Call, document: Any) -> Any:
    """A start request with key and strategy filled in, where its body names none.

    The query comes before the headers ``X-Idempotency-key`` and ``X-on-conflict``. A blank key is
    none: Conductor's clients send it when they mean nothing by it.
    """
    if not isinstance(document, dict):
        return document
    key = document.get("idempotencyKey")
    strategy = document.get("idempotencyStrategy")
    if key is None:
        key = call.text("idempotencyKey") or call.header(b"x-idempotency-key")
    if strategy is None:
        strategy = call.text("idempotencyStrategy") or call.header(b"x-on-conflict")
    if isinstance(key, str) and not key.strip():
        key = None
    return {**document, "idempotencyKey": key, "idempotencyStrategy": strategy or None}

"""More of a fleet: tags, groups, orders, campaigns, versions, rules, tokens, the way people make them.

Everything goes over the API; no page is opened here.
"""

from __future__ import annotations

import json
import urllib.request
from typing import Any

from tests.browser.conftest import Served

_open = urllib.request.build_opener(urllib.request.ProxyHandler({})).open

DEFINITION = {
    "version": 1,
    "schemaVersion": 2,
    "ownerEmail": "camera@example.org",
    "tasks": [{"name": "wait", "taskReferenceName": "wait", "type": "WAIT"}],
}


def call(served: Served, method: str, path: str, body: Any = None, *, token: str = "") -> Any:
    """One request under ``/api/v1``; its answer."""
    headers = {"Content-Type": "application/json"}
    if token:
        headers["X-Authorization"] = token
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(f"{served.url}/api/v1/{path}", data, headers, method=method)
    with _open(request, timeout=20) as answer:
        text = answer.read()
    return json.loads(text) if text else None


def enrich(fleet: Served) -> dict[str, str]:
    """Make one of everything; the ids of what was made."""
    call(fleet, "PUT", "devices/gate-7/tags", {"tags": ["camera", "site=berlin"]})
    call(fleet, "PUT", "devices/yard-2/tags", {"tags": ["camera"]})
    call(fleet, "POST", "devices", {"device": "attic-9", "tags": ["spare"]})
    call(fleet, "PUT", "groups/cameras", {"query": "tag:camera", "description": "All that see"})
    call(fleet, "PUT", "groups/pilots", {"members": ["gate-7", "roof-1"]})
    start = {"kind": "start", "body": {"name": "video_analysis", "input": {"clipSeconds": 4}}}
    order = call(fleet, "POST", "devices/gate-7/orders", start)
    target = {"target": {"group": "cameras"}}
    campaign = call(fleet, "POST", "campaigns", {**start, **target, "title": "Look at all gates"})
    workflow = {**target, "definition": DEFINITION}
    call(fleet, "PUT", "wanted/workflow/night_watch", workflow)
    call(fleet, "PUT", "wanted/workflow/night_watch", workflow)
    call(fleet, "PUT", "wanted/config/site", {**target, "variables": {"SITE": "berlin"}})
    hook = {"kind": "webhook", "address": "http://127.0.0.1:9/alerts"}
    call(fleet, "PUT", "alert-channels/ops", hook)
    rule = {"kind": "silence", "afterS": 600, "channels": ["ops"], "query": "tag:camera"}
    call(fleet, "PUT", "alert-rules/silent", rule)
    call(fleet, "POST", "tokens", {"name": "night shift", "role": "operator"})
    call(fleet, "PUT", "tenants/acme", {"title": "Acme Ltd"})
    return {"order": order["id"], "campaign": campaign["id"]}

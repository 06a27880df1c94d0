"""Fills generated requests with ids of existing processes, and keeps them from waiting forever.

The environment has the address of the manager (LONGHAUL_URL) and its token (MCP_TOKEN).
"""

import os
import random

import requests
import schemathesis

URL = os.environ["LONGHAUL_URL"]
TOKEN = {"Authorization": f"Bearer {os.environ['MCP_TOKEN']}"}
# A process that ends, one that does not, and reported work.
WORK = [
    {"command": {"program": "echo", "args": ["hello"], "directory": "/"}},
    {"command": {"program": "sleep", "args": ["600"], "directory": "/"}, "session_id": "0"},
    {"reported": {}, "name": "reported"},
]
# Number of requests per set of processes: some requests end them, and one deletes all of them.
SHARED_BY = 60
STREAMS = ("/v1/events", "/v1/sessions/{id}/completions")
WAITS = ("timeout_ms", "wait_ms")

chance = random.Random(1)
asked = 0
known = []


def launch():
    for work in WORK:
        answer = requests.post(f"{URL}/v1/processes", json=work, headers=TOKEN, timeout=30)
        answer.raise_for_status()
        known.append(answer.json()["process"]["id"])
    del known[: -2 * len(WORK)]


@schemathesis.hook
def before_call(context, case, kwargs):
    global asked
    if asked % SHARED_BY == 0:
        launch()
    asked += 1
    if case.path_parameters and "reference" in case.path_parameters and chance.random() < 0.5:
        case.path_parameters["reference"] = chance.choice(known)
    query = case.query
    if not isinstance(query, dict):
        return
    # Streams must end with the available data, and waits must end soon; other tests cover their clients.
    if str(query.get("follow", case.path in STREAMS)).lower() == "true":
        query["follow"] = False
    if case.path == "/v1/wait":
        query.setdefault("timeout_ms", 50)
        if chance.random() < 0.5:
            query["id"] = chance.choice(known)
    for name in WAITS:
        if str(query.get(name)).isdigit():
            query[name] = 50

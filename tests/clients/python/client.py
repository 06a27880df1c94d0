"""Uses a manager like an agent, with the official Python SDK: over stdio and over HTTP, in every version of MCP that the
installed generation of the SDK speaks.

Arguments: the program. The environment names the state directory (LONGHAUL_STATE_DIR), the address of the manager
(MCP_URL) and its token (MCP_TOKEN).
"""

import asyncio
import json
import os
import sys
from contextlib import asynccontextmanager
from datetime import timedelta
from importlib.metadata import version
from pathlib import Path

from mcp.client.stdio import StdioServerParameters

GENERATION = int(version("mcp").split(".")[0])
if GENERATION == 1:
    from mcp import ClientSession
    from mcp.client.stdio import stdio_client
    from mcp.client.streamable_http import streamablehttp_client
else:
    import httpx2
    from mcp import Client
    from mcp.client.streamable_http import streamable_http_client

PROGRAM = sys.argv[1]
SAMPLE = Path(__file__).resolve().parent.parent / "sample"
TOOLS = {
    "start_background_process",
    "get_process_status",
    "get_background_process_status",
    "stop_background_process",
    "list_background_processes",
    "wait_for_process",
    "read_process_output",
    "search_process_output",
    "restart_process",
    "pause_process",
    "resume_process",
    "send_process_input",
    "register_process",
    "report_progress",
    "complete_process",
    "fail_process",
}


def stdio():
    environment = {name: os.environ[name] for name in ("LONGHAUL_STATE_DIR", "PATH", "HOME") if name in os.environ}
    return StdioServerParameters(command=PROGRAM, args=["mcp"], env=environment)


def http():
    headers = {"Authorization": f"Bearer {os.environ['MCP_TOKEN']}"}
    if GENERATION == 1:
        return streamablehttp_client(os.environ["MCP_URL"], headers=headers, sse_read_timeout=120)
    timeout = httpx2.Timeout(30, read=120)
    return streamable_http_client(os.environ["MCP_URL"], http_client=httpx2.AsyncClient(headers=headers, timeout=timeout))


@asynccontextmanager
async def connected(transport, mode):
    """A client, and the revision of the protocol that it speaks."""
    if GENERATION > 1:
        async with Client(transport(), mode=mode, read_timeout_seconds=90) as client:
            yield client, client.protocol_version
        return
    made = transport()
    async with (stdio_client(made) if transport is stdio else made) as streams:
        async with ClientSession(*streams[:2], read_timeout_seconds=timedelta(seconds=90)) as session:
            begun = await session.initialize()
            yield session, begun.protocolVersion


def field(value, name):
    """A field by its name in the protocol: the second generation of the SDK writes it in snake case."""
    return getattr(value, name) if GENERATION == 1 else getattr(value, "".join(f"_{c.lower()}" if c.isupper() else c for c in name))


async def call(client, tool, arguments):
    result = await client.call_tool(tool, arguments)
    content = field(result, "structuredContent")
    assert not field(result, "isError"), f"{tool}: {result}"
    # Some clients show a model only the text, others only the structured content.
    assert json.loads(result.content[0].text) == content, f"{tool}: {result}"
    return content


async def refused(client, tool, arguments):
    result = await client.call_tool(tool, arguments)
    assert field(result, "isError"), f"{tool}: {result}"
    assert field(result, "structuredContent") is None, f"{tool}: {result}"
    return json.loads(result.content[0].text)


async def lists_every_tool(client):
    listed = (await client.list_tools()).tools
    names = {tool.name for tool in listed}
    assert TOOLS <= names, f"missing: {TOOLS - names}"
    for tool in listed:
        assert tool.description and field(tool, "inputSchema")["type"] == "object", tool
        assert field(tool, "outputSchema"), f"{tool.name} promises no shape of its answer"
    return listed


async def runs_a_test_suite(client):
    started = await call(client, "start_background_process", {
        "process_type": "test_suite",
        "name": "sums",
        "command": f"{sys.executable} -m pytest -q -p no:cacheprovider {SAMPLE}",
        "metadata": {"ticket": 7},
        "cwd": str(SAMPLE),
    })
    process = started["process_id"]
    waited = await call(client, "wait_for_process", {"process_ids": [process], "timeout_seconds": 50})
    assert waited["reason"] == "met", waited
    status = await call(client, "get_process_status", {"process_id": process})
    # A failing test suite is a result for the agent, and not an error of the tool.
    assert (status["status"], status["exit_code"]) == ("failed", 1), status
    assert status["metadata"] == {"ticket": 7}, status
    same = await call(client, "get_background_process_status", {"process_id": process})
    assert same["process_id"] == process and same["status"] == "failed", same
    output = await call(client, "read_process_output", {"process_id": process})
    assert "1 failed, 3 passed" in output["text"], output
    found = await call(client, "search_process_output", {"process_id": process, "pattern": r"assert \(?2 \+ 2\)? == 5"})
    assert found["matches"], found
    failed = await call(client, "list_background_processes", {"filter_type": "failed"})
    assert process in [item["process_id"] for item in failed["processes"]], failed


async def stops_a_server(client):
    started = await call(client, "start_background_process", {
        "process_type": "server", "name": "idler", "command": "echo up; sleep 600", "cwd": "/tmp",
    })
    process = started["process_id"]
    running = await call(client, "list_background_processes", {"filter_type": "running", "process_type": "server"})
    assert process in [item["process_id"] for item in running["processes"]], running
    early = await call(client, "wait_for_process", {"process_ids": [process], "timeout_seconds": 1})
    assert early["reason"] == "timeout", early
    stopped = await call(client, "stop_background_process", {"process_id": process})
    assert stopped["status"] in ("stopping", "cancelled"), stopped
    await call(client, "wait_for_process", {"process_ids": [process], "timeout_seconds": 20})
    status = await call(client, "get_process_status", {"process_id": process})
    assert status["status"] == "cancelled", status


async def reports_work_of_its_own(client):
    made = await call(client, "register_process", {"name": "migration", "process_type": "custom"})
    process = made["process_id"]
    told = await call(client, "report_progress", {"process_id": process, "progress": 40, "stage": "copying"})
    assert told["progress"] == 40, told
    await call(client, "complete_process", {"process_id": process, "result": {"rows": 12}})
    status = await call(client, "get_process_status", {"process_id": process})
    assert (status["status"], status["result"]) == ("completed", {"rows": 12}), status


async def is_told_what_is_wrong(client, tools):
    """Every tool rejects an unknown process or an unknown argument, and the client gets the error."""
    unknown = "00000000-0000-4000-8000-000000000000"
    for tool in tools:
        problem = await refused(client, tool.name, {"no_such_argument": 1})
        assert problem["code"] == "invalid_request" and "no_such_argument" in problem["message"], problem
        properties = field(tool, "inputSchema")["properties"]
        needed = {"pattern": ".", "text": "x", "error": "x"}
        arguments = {name: value for name, value in needed.items() if name in properties}
        if "process_id" in properties:
            problem = await refused(client, tool.name, arguments | {"process_id": unknown})
        elif "process_ids" in properties:
            problem = await refused(client, tool.name, {"process_ids": [unknown]})
        else:
            continue
        assert problem["code"] == "process_not_found" and problem["hint"], problem


async def leaves_work_behind(client):
    started = await call(client, "start_background_process", {
        "process_type": "custom", "name": "outlives", "command": "sleep 600", "cwd": "/tmp",
    })
    return started["process_id"]


async def uses(transport, mode):
    async with connected(transport, mode) as (client, revision):
        tools = await lists_every_tool(client)
        await runs_a_test_suite(client)
        await stops_a_server(client)
        await reports_work_of_its_own(client)
        await is_told_what_is_wrong(client, tools)
        left = await leaves_work_behind(client)
    async with connected(transport, mode) as (client, _):
        status = await call(client, "get_process_status", {"process_id": left})
        assert status["status"] in ("starting", "running"), status
        await call(client, "stop_background_process", {"process_id": left, "force": True})
    print(f"python: SDK {version('mcp')}, {transport.__name__} in MCP {revision}: passed")


async def main():
    for transport in (stdio, http):
        for mode in ("legacy",) if GENERATION == 1 else ("legacy", "auto"):
            await asyncio.wait_for(uses(transport, mode), 240)


asyncio.run(main())

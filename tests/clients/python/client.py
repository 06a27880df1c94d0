"""Uses a manager as an agent would, with the official Python SDK: over stdio and over HTTP, in both eras of MCP.

Arguments: the program. The environment names the state directory (LONGHAUL_STATE_DIR), the address of the manager
(MCP_URL) and its token (MCP_TOKEN).
"""

import asyncio
import os
import sys
from pathlib import Path

import httpx2
from mcp import Client
from mcp.client.stdio import StdioServerParameters
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
    timeout = httpx2.Timeout(30, read=120)
    return streamable_http_client(os.environ["MCP_URL"], http_client=httpx2.AsyncClient(headers=headers, timeout=timeout))


async def call(client, tool, arguments, fails=False):
    result = await client.call_tool(tool, arguments)
    assert bool(result.is_error) == fails, f"{tool}: {result}"
    assert result.structured_content is not None, f"{tool} has no structured content: {result}"
    return result.structured_content


async def lists_every_tool(client):
    listed = (await client.list_tools()).tools
    names = {tool.name for tool in listed}
    assert TOOLS <= names, f"missing: {TOOLS - names}"
    for tool in listed:
        assert tool.description and tool.input_schema["type"] == "object", tool
        assert tool.output_schema, f"{tool.name} promises no shape of its answer"


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
    # A suite that fails is what an agent wants to know, and no error of the tool.
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


async def is_told_what_is_wrong(client):
    unknown = "00000000-0000-4000-8000-000000000000"
    problem = await call(client, "get_process_status", {"process_id": unknown}, fails=True)
    assert problem["code"] == "process_not_found", problem


async def leaves_work_behind(client):
    started = await call(client, "start_background_process", {
        "process_type": "custom", "name": "outlives", "command": "sleep 600", "cwd": "/tmp",
    })
    return started["process_id"]


async def uses(transport, mode):
    async with Client(transport(), mode=mode, read_timeout_seconds=90) as client:
        await lists_every_tool(client)
        await runs_a_test_suite(client)
        await stops_a_server(client)
        await reports_work_of_its_own(client)
        await is_told_what_is_wrong(client)
        left = await leaves_work_behind(client)
        version = client.protocol_version
    async with Client(transport(), mode=mode, read_timeout_seconds=90) as client:
        status = await call(client, "get_process_status", {"process_id": left})
        assert status["status"] in ("starting", "running"), status
        await call(client, "stop_background_process", {"process_id": left, "force": True})
    print(f"python: {transport.__name__} in MCP {version}: well")


async def main():
    for transport in (stdio, http):
        for mode in ("legacy", "auto"):
            await asyncio.wait_for(uses(transport, mode), 240)


asyncio.run(main())

"""Uses a manager with the client that openapi-python-client generates from its document: a launch, a wait and a cancel.

The environment has the address of the manager (LONGHAUL_URL) and its token (MCP_TOKEN).
"""

import os

from longhaul_client import AuthenticatedClient
from longhaul_client.api.processes import (
    cancel_level,
    cancel_process,
    launch_process,
    read_output,
    show_process,
    stream_output,
    wait_for_processes,
)
from longhaul_client.api.sessions import list_sessions
from longhaul_client.models import (
    CancelLevelRequest,
    CancelRequest,
    CommandRequest,
    LaunchRequest,
    Problem,
    ProcessViewStatus,
    WaitForProcessesFor,
)

client = AuthenticatedClient(base_url=os.environ["LONGHAUL_URL"], token=os.environ["MCP_TOKEN"])


def launched(program, *args):
    command = CommandRequest(program=program, directory="/", args=list(args))
    request = LaunchRequest(command=command, name="generated", session_id="generated-python")
    answer = launch_process.sync_detailed(client=client, body=request)
    process = answer.parsed.process
    assert answer.status_code == 201 and answer.headers["location"] == f"/v1/processes/{process.id}", answer
    return process


def main():
    hello = launched("echo", "hello")
    waited = wait_for_processes.sync(client=client, id=[hello.id], timeout_ms=30_000)
    assert not waited.timed_out and waited.processes[0].status == ProcessViewStatus.COMPLETED, waited
    assert read_output.sync(hello.id, client=client).text == "hello\n"
    assert b"hello\n" in stream_output.sync_detailed(hello.id, client=client).content

    sleeper = launched("sleep", "600")
    outcome = cancel_process.sync(sleeper.id, client=client, body=CancelRequest(force=True))
    assert outcome.changed, outcome
    goal = WaitForProcessesFor.TREE_ENDED
    waited = wait_for_processes.sync(client=client, id=[sleeper.id], for_=goal, timeout_ms=30_000)
    assert waited.processes[0].status == ProcessViewStatus.CANCELLED, waited
    assert cancel_level.sync(client=client, body=CancelLevelRequest(level=9)).outcomes == []

    session = next(each for each in list_sessions.sync(client=client).sessions if each.session_id == "generated-python")
    assert (session.live, session.ended) == (0, 2), session
    missing = show_process.sync("nonesuch", client=client)
    assert isinstance(missing, Problem) and missing.type_ == "process_not_found", missing
    print("openapi-python-client: passed")


main()

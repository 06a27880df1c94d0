// Uses a manager like an agent, with the official TypeScript SDKs: the first and the second generation, over stdio
// and over HTTP, in both versions of MCP.
//
// Arguments: the program, a Python that has pytest, and the sample suite. The environment names the state directory
// (LONGHAUL_STATE_DIR), the address of the manager (MCP_URL) and its token (MCP_TOKEN).

import assert from 'node:assert/strict';
import * as second from '@modelcontextprotocol/client';
import { StdioClientTransport as SecondStdio } from '@modelcontextprotocol/client/stdio';
import { Client as FirstClient } from '@modelcontextprotocol/sdk/client/index.js';
import { StdioClientTransport as FirstStdio } from '@modelcontextprotocol/sdk/client/stdio.js';
import { StreamableHTTPClientTransport as FirstHttp } from '@modelcontextprotocol/sdk/client/streamableHttp.js';

const [program, python, sample] = process.argv.slice(2);
const about = { name: 'longhaul-clients', version: '1.0.0' };
const environment = Object.fromEntries(
  ['LONGHAUL_STATE_DIR', 'PATH', 'HOME'].flatMap(name => (process.env[name] ? [[name, process.env[name]]] : [])),
);
const stdio = { command: program, args: ['mcp'], env: environment };
const url = () => new URL(process.env.MCP_URL);
const http = { requestInit: { headers: { Authorization: `Bearer ${process.env.MCP_TOKEN}` } } };

const ways = [
  ['first SDK, stdio', () => new FirstClient(about), () => new FirstStdio(stdio)],
  ['first SDK, HTTP', () => new FirstClient(about), () => new FirstHttp(url(), http)],
];
for (const mode of ['legacy', 'auto']) {
  const client = () => new second.Client(about, { versionNegotiation: { mode } });
  ways.push([`second SDK, stdio, ${mode}`, client, () => new SecondStdio(stdio)]);
  ways.push([`second SDK, HTTP, ${mode}`, client, () => new second.StreamableHTTPClientTransport(url(), http)]);
}

for (const [way, client, transport] of ways) {
  const left = await connected(client(), transport(), async client => {
    const tools = await listsTools(client);
    await runsATestSuite(client);
    await isToldWhatIsWrong(client, tools);
    return await stopsOneAndLeavesOne(client);
  });
  await connected(client(), transport(), async client => {
    const status = await call(client, 'get_process_status', { process_id: left });
    assert.ok(['starting', 'running'].includes(status.status), status.status);
    await call(client, 'stop_background_process', { process_id: left, force: true });
  });
  console.log(`typescript: ${way}: passed`);
}
process.exit(0);

async function connected(client, transport, use) {
  await client.connect(transport);
  try {
    return await use(client);
  } finally {
    await client.close();
  }
}

async function call(client, name, args) {
  const result = await client.callTool({ name, arguments: args });
  assert.ok(!result.isError, `${name}: ${JSON.stringify(result)}`);
  // Some clients show a model only the text, others only the structured content.
  assert.deepEqual(JSON.parse(result.content[0].text), result.structuredContent);
  return result.structuredContent;
}

async function refused(client, name, args) {
  const result = await client.callTool({ name, arguments: args });
  assert.ok(result.isError, `${name}: ${JSON.stringify(result)}`);
  return JSON.parse(result.content[0].text);
}

// Every tool rejects an unknown process or an unknown argument, and the client gets the error. The client knows the
// output schemas by then, and may apply them to errors.
async function isToldWhatIsWrong(client, tools) {
  const unknown = '00000000-0000-4000-8000-000000000000';
  const needed = { pattern: '.', text: 'x', error: 'x' };
  for (const { name, inputSchema } of tools) {
    const nonsense = await refused(client, name, { no_such_argument: 1 });
    assert.equal(nonsense.code, 'invalid_request');
    assert.match(nonsense.message, /no_such_argument/);
    const { properties } = inputSchema;
    let args = { process_ids: [unknown] };
    if ('process_id' in properties) {
      args = { process_id: unknown };
      for (const key of Object.keys(needed)) if (key in properties) args[key] = needed[key];
    } else if (!('process_ids' in properties)) {
      continue;
    }
    const missing = await refused(client, name, args);
    assert.equal(missing.code, 'process_not_found', name);
    assert.ok(missing.hint, name);
  }
}

async function listsTools(client) {
  const { tools } = await client.listTools();
  const names = tools.map(tool => tool.name);
  for (const name of ['start_background_process', 'get_process_status', 'get_background_process_status',
    'stop_background_process', 'list_background_processes', 'wait_for_process', 'read_process_output']) {
    assert.ok(names.includes(name), `${name} is missing`);
  }
  return tools;
}

async function runsATestSuite(client) {
  const { process_id } = await call(client, 'start_background_process', {
    process_type: 'test_suite',
    name: 'sums',
    command: `${python} -m pytest -q -p no:cacheprovider ${sample}`,
    cwd: sample,
  });
  const waited = await call(client, 'wait_for_process', { process_ids: [process_id], timeout_seconds: 50 });
  assert.equal(waited.reason, 'met');
  const status = await call(client, 'get_process_status', { process_id });
  assert.deepEqual([status.status, status.exit_code], ['failed', 1]);
  const output = await call(client, 'read_process_output', { process_id });
  assert.match(output.text, /1 failed, 3 passed/);
}

async function stopsOneAndLeavesOne(client) {
  const sleeper = { process_type: 'custom', name: 'sleeper', command: 'sleep 600', cwd: '/tmp' };
  const one = await call(client, 'start_background_process', sleeper);
  const other = await call(client, 'start_background_process', sleeper);
  await call(client, 'stop_background_process', { process_id: one.process_id });
  await call(client, 'wait_for_process', { process_ids: [one.process_id], timeout_seconds: 20 });
  const status = await call(client, 'get_process_status', { process_id: one.process_id });
  assert.equal(status.status, 'cancelled');
  return other.process_id;
}

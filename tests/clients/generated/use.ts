// Uses a manager with the types that openapi-typescript generates from its document: a launch, a wait and a cancel.
//
// The environment has the address of the manager (LONGHAUL_URL) and its token (MCP_TOKEN).

import createClient from 'openapi-fetch';
import type { components, paths } from './longhaul.js';

declare const process: { env: Record<string, string | undefined>; exit(code: number): never };

type Launch = components['schemas']['LaunchRequest'];
type Status = components['schemas']['ProcessView']['status'];

const client = createClient<paths>({
  baseUrl: process.env.LONGHAUL_URL ?? '',
  headers: { Authorization: `Bearer ${process.env.MCP_TOKEN}` },
});

function assert(condition: unknown, about: unknown): asserts condition {
  if (!condition) throw new Error(JSON.stringify(about));
}

async function launched(program: string, ...args: string[]): Promise<string> {
  const body: Launch = { command: { program, args, directory: '/' }, name: 'generated' };
  const { data, error, response } = await client.POST('/v1/processes', { body });
  assert(data, error);
  assert(response.headers.get('location') === `/v1/processes/${data.process.id}`, data);
  return data.process.id;
}

async function ended(id: string): Promise<Status> {
  const query = { id: [id], for: 'tree_ended' as const, timeout_ms: 30_000 };
  const { data, error } = await client.GET('/v1/wait', { params: { query } });
  assert(data && !data.timed_out && data.processes[0], error ?? data);
  return data.processes[0].status;
}

const hello = await launched('echo', 'hello');
assert((await ended(hello)) === 'completed', hello);

const sleeper = await launched('sleep', '600');
const path = { reference: sleeper };
const cancelled = await client.POST('/v1/processes/{reference}/cancel', { params: { path }, body: { force: true } });
assert(cancelled.data?.changed, cancelled.error);
assert((await ended(sleeper)) === 'cancelled', sleeper);

const missing = await client.GET('/v1/processes/{reference}', { params: { path: { reference: 'nonesuch' } } });
assert(missing.error?.type === 'process_not_found', missing);
console.log('openapi-typescript: passed');
process.exit(0);

import { readFileSync } from 'node:fs';
import { request } from 'node:http';
import { afterEach, expect, test } from 'vitest';
import { EngineError } from '../../core/errors.ts';
import type { JsonSchema } from '../../operations/http/http-types.ts';
import { httpWorld, type HttpWorld } from './http-world.test-support.ts';
import { openApi } from './open-api.ts';
import { apiPrefix, restRoutes } from './rest-routes.ts';
import { restSchemas } from './rest-schemas.ts';

let world: HttpWorld | null = null;
afterEach(async () => {
  await world?.stop();
  world = null;
});

/** A leader whose job runs, has completed a checkpoint and was heard of. */
async function running(): Promise<{ world: HttpWorld; jobId: string }> {
  world = await httpWorld();
  const completed = world.next('checkpoint-completed');
  const jobId = await world.submit('numbers');
  await completed;
  await world.taskManager.heartbeat();
  return { world, jobId };
}

/** Where a value is not what its schema says. */
function differences(value: unknown, schema: JsonSchema, at = ''): string[] {
  if (schema.$ref !== undefined)
    return differences(value, restSchemas[schema.$ref.replace('#/components/schemas/', '')] as JsonSchema, at);
  const types = schema.type === undefined ? [] : [schema.type].flat();
  const type = value === null ? 'null' : Array.isArray(value) ? 'array' : typeof value;
  if (!types.includes(type)) return [`${at} is ${type}, not ${types.join(' or ')}`];
  if (schema.enum !== undefined && !schema.enum.includes(value as string)) return [`${at} is ${String(value)}`];
  if (Array.isArray(value))
    return value.flatMap((item, index) => differences(item, schema.items ?? {}, `${at}[${index}]`));
  if (type !== 'object') return [];
  const { properties = {}, required = [], additionalProperties = false } = schema;
  const entries = Object.entries(value as object);
  return [
    ...required.filter((name) => !entries.some(([key]) => key === name)).map((name) => `${at}.${name} is missing`),
    ...entries.flatMap(([key, item]) => {
      const found = properties[key] ?? (typeof additionalProperties === 'object' ? additionalProperties : null);
      return found === null ? [`${at}.${key} is not described`] : differences(item, found, `${at}.${key}`);
    }),
  ];
}

const routes = restRoutes({
  view: () => {
    throw new Error('not asked');
  },
  ready: () => true,
  metrics: { contentType: 'text/plain', text: async () => '' },
});

test('every route answers what its schema says when a job runs and has failed once', async () => {
  const { world, jobId } = await running();
  const failed = world.next('attempt-failed');
  const again = failed.then(() => world.next('checkpoint-completed'));
  await world.taskManager.fail();
  await again;
  await world.taskManager.heartbeat();
  for (const { path, answer } of world.http.routes) {
    const response = await world.get(path.replace(':job', jobId).replace(':vertex', 'v'));
    expect([path, response.status]).toEqual([path, 200]);
    if (answer !== null)
      expect([path, differences(await response.json(), restSchemas[answer] as JsonSchema)]).toEqual([path, []]);
    else expect(await response.text()).toContain('millrace_leader 1');
  }
});

test('subtasks tell where they run, what they did and what they wrote when a job runs', async () => {
  const { world, jobId } = await running();
  const response = await world.get(`${apiPrefix}/jobs/${jobId}/vertices/v/subtasks`);
  const subtask = {
    state: 'running',
    taskManagerId: 'tm-1',
    recordsIn: 100,
    bytesOut: 900,
    watermarkMs: null,
    counters: { odd: 50 },
    checkpointBytes: 48,
    checkpointRows: 3,
  };
  expect(await response.json()).toMatchObject([
    { ...subtask, subtaskIndex: 0, slotIndex: 0, alignmentMs: 0 },
    { ...subtask, subtaskIndex: 1, slotIndex: 1, alignmentMs: 1 },
  ]);
});

test('a job is found by its name, with its checkpoints and failures, when it has failed', async () => {
  const { world, jobId } = await running();
  const failed = world.next('attempt-failed');
  await world.taskManager.fail();
  await failed;
  const job = await (await world.get(`${apiPrefix}/jobs/numbers`)).json();
  expect(job).toMatchObject({ jobId, name: 'numbers', error: { code: 'USER_FUNCTION_FAILED' } });
  expect(JSON.stringify(job)).not.toContain('stack');
  const exceptions = await (await world.get(`${apiPrefix}/jobs/numbers/exceptions`)).json();
  expect(exceptions).toMatchObject({
    restarts: 1,
    newest: [{ attempt: 1, restarts: true, error: { message: 'odd' } }],
  });
  const checkpoints = (await (await world.get(`${apiPrefix}/jobs/numbers/checkpoints`)).json()) as {
    completed: number;
    newest: { status: string }[];
  };
  expect(checkpoints.completed).toBeGreaterThan(0);
  const completed = checkpoints.newest.find((entry) => entry.status === 'completed');
  expect(completed).toMatchObject({ alignmentMs: 1, stateBytes: 0 });
});

test('metrics of a job manager tell slots, jobs and checkpoints when a job runs', async () => {
  const { world, jobId } = await running();
  const response = await world.get('/metrics');
  expect(response.headers.get('content-type')).toMatch(/^text\/plain/);
  const text = await response.text();
  expect(text).toContain('millrace_slots 4\n');
  expect(text).toContain('millrace_slots_free 2\n');
  expect(text).toContain('millrace_jobs{state="running"} 1\n');
  expect(text).toContain(`millrace_checkpoint_alignment_ms{job="${jobId}"} 1\n`);
  expect(text).toMatch(/millrace_process_resident_bytes \d+/);
});

test('an unknown job, vertex or path is a 404 in the error format', async () => {
  const { world, jobId } = await running();
  for (const [path, code] of [
    [`${apiPrefix}/jobs/nothing`, 'JOB_NOT_FOUND'],
    [`${apiPrefix}/jobs/nothing/checkpoints`, 'JOB_NOT_FOUND'],
    [`${apiPrefix}/jobs/${jobId}/vertices/w/subtasks`, 'USAGE'],
    [`${apiPrefix}/nothing`, 'USAGE'],
  ] as const) {
    const response = await world.get(path);
    const body = (await response.json()) as { error: { code: string } };
    expect([path, response.status, body.error.code]).toEqual([path, 404, code]);
    expect(differences(body, restSchemas['Error'] as JsonSchema)).toEqual([]);
  }
});

test('what is too long or of another method is refused and the listener goes on', async () => {
  world = await httpWorld();
  const { address } = world.http;
  expect((await world.get(`${apiPrefix}/jobs/${'x'.repeat(2_000)}`)).status).toBeGreaterThanOrEqual(400);
  expect((await fetch(`http://${address}${apiPrefix}/jobs`, { method: 'POST', body: 'x'.repeat(5_000) })).status).toBe(
    413,
  );
  expect((await world.get(`${apiPrefix}/jobs/%zz`)).status).toBe(400);
  expect((await world.get('/health')).status).toBe(200);
});

test('a standby answers 503 with the address of the leader, and is ready', async () => {
  world = await httpWorld();
  world.loseLead('other:7070');
  const response = await world.get(`${apiPrefix}/overview`);
  expect(response.status).toBe(503);
  expect(await response.json()).toMatchObject({ error: { code: 'NOT_LEADER', ids: { leaderAddress: 'other:7070' } } });
  expect((await world.get('/ready')).status).toBe(200);
  expect(await (await world.get('/metrics')).text()).toContain('millrace_leader 0');
  world.loseLead('');
  expect((await world.get('/ready')).status).toBe(503);
  expect((await world.get('/health')).status).toBe(200);
});

test('every route that is not public asks who calls', async () => {
  const asked: string[] = [];
  world = await httpWorld({
    authorize: (role, { bearerToken }) => {
      asked.push(`${role} ${bearerToken ?? 'nobody'}`);
      if (bearerToken === null) throw new EngineError('UNAUTHENTICATED', 'who are you');
      if (bearerToken !== 'good') throw new EngineError('FORBIDDEN', 'not you');
    },
  });
  const statuses = async (headers: Record<string, string>): Promise<number[]> => {
    const found: number[] = [];
    for (const { path, role } of (world as HttpWorld).http.routes)
      if (role !== 'public') found.push((await (world as HttpWorld).get(path, headers)).status);
    return [...new Set(found)];
  };
  expect(await statuses({})).toEqual([401]);
  expect(await statuses({ authorization: 'Bearer bad' })).toEqual([403]);
  expect(await statuses({ authorization: 'Basic good' })).toEqual([401]);
  expect(await statuses({ authorization: 'Bearer good' })).toEqual([200, 404]);
  expect(asked).toContain('viewer good');
  expect((await world.get('/health')).status).toBe(200);
  expect(world.http.routes.filter(({ role }) => role === 'public').map(({ path }) => path)).toEqual([
    '/health',
    '/ready',
  ]);
});

function statusWithHost(address: string, host: string): Promise<number | undefined> {
  const { hostname, port } = new URL(`http://${address}`);
  return new Promise((resolve, reject) => {
    request({ hostname, port, path: '/health', headers: { host } }, (response) => {
      response.resume();
      resolve(response.statusCode);
    })
      .on('error', reject)
      .end();
  });
}

test('a call by a name that is not its own is refused', async () => {
  world = await httpWorld({ allowedHosts: ['Dashboard.example'] });
  const { address } = world.http;
  expect(await statusWithHost(address, 'evil.example')).toBe(421);
  expect(await statusWithHost(address, '127.0.0.1.evil.example')).toBe(421);
  expect(await statusWithHost(address, '10.0.0.1')).toBe(421);
  expect(await statusWithHost(address, 'localhost:80')).toBe(200);
  expect(await statusWithHost(address, '[::1]:80')).toBe(200);
  expect(await statusWithHost(address, 'dashboard.example')).toBe(200);
});

test('answers carry the headers that browsers obey, and no cookie', async () => {
  world = await httpWorld();
  for (const path of ['/health', `${apiPrefix}/jobs`, '/nothing']) {
    const { headers } = await world.get(path);
    expect(headers.get('x-content-type-options')).toBe('nosniff');
    expect(headers.get('content-security-policy')).toContain("default-src 'none'");
    expect(headers.get('cache-control')).toBe('no-store');
    expect(headers.get('set-cookie')).toBeNull();
    expect(headers.get('access-control-allow-origin')).toBeNull();
  }
});

test('listening for other machines in clear is refused', async () => {
  await expect(httpWorld({ host: '0.0.0.0' })).rejects.toMatchObject({ code: 'CONFIG_INVALID' });
});

test('a port that is taken is told', async () => {
  world = await httpWorld();
  const port = Number(world.http.address.split(':')[1]);
  await expect(httpWorld({ port })).rejects.toMatchObject({ code: 'PORT_IN_USE' });
});

test('the description of the API in the documentation is the one of the routes', () => {
  const path = new URL('../../docs/operations/openapi.json', import.meta.url);
  expect(JSON.parse(readFileSync(path, 'utf8'))).toEqual(JSON.parse(JSON.stringify(openApi(routes, 'v1'))));
});

test('every route has a role, a path of its own and a schema that is there', () => {
  expect(new Set(routes.map(({ path }) => path)).size).toBe(routes.length);
  for (const { role, answer } of routes) {
    expect(['public', 'viewer']).toContain(role);
    if (answer !== null) expect(restSchemas).toHaveProperty(answer);
  }
});

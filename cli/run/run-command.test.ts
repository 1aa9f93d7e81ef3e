/**
 * The run command with a scripted engine in place of the embedded one: what it hands over, what it tells, what it keeps.
 * The engine itself has its own tests, and `cli/cli.test.ts` runs both as a process.
 */
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { EngineError } from '../../core/errors.ts';
import { jobOptionsDefault } from '../../core/graph/job-options.ts';
import type { RunEmbedded, RunEmbeddedOptions, RunOutcome, RunProgress } from '../embedded/run-types.ts';
import { Terminal } from '../output/terminal.ts';
import { type RunCommandOptions, runCommand, withRestartLimit } from './run-command.ts';

let directory: string;
let out: string[];
let err: string[];
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'millrace-run-test-'));
  out = [];
  err = [];
  writeFileSync(join(directory, 'job.ts'), jobText(''));
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

/** A job with a sink whose destination is occupied as soon as the file `occupied` exists. */
function jobText(body: string): string {
  return `
import { existsSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { defineJob, params } from 'millrace';
const source: any = { type: 'source', kind: 'test', options: {}, boundedness: 'bounded', openSplitsMax: 1, splitId: String, createPlanner() {}, createReader() {} };
const sink: any = { type: 'sink', kind: 'test', options: {}, createWriter() {}, createCommitter: null, destination: 'out/numbers',
  occupation: async (cwd: string) => existsSync(join(cwd, 'occupied')) ? { description: 'out/numbers holds 3 files', clear: async () => rmSync(join(cwd, 'occupied')) } : null };
export default defineJob('numbers', (env) => {
  const { factor } = env.params({ factor: params.integer({ default: 2, description: 'factor' }) });
  env.from<number>(source, { uid: 'numbers' }).map((n) => n * factor).to(sink);
  ${body}
});`;
}

const progress: RunProgress = {
  state: 'running',
  recordsIn: 1_200,
  recordsOut: 40,
  lateRecords: 7,
  watermarkMs: Number.POSITIVE_INFINITY,
  timeHeldBy: null,
  lastCheckpoint: { id: 4, completedAtMs: 0, bytes: 2_048 },
  restored: null,
  restarts: 0,
  counters: { malformedRecords: 3 },
};
const outcome = (state: RunOutcome['state'], error: EngineError | null = null): RunOutcome => ({
  state,
  error,
  progress: { ...progress, state },
});

const options: RunCommandOptions = {
  jobFile: 'job.ts',
  jobArguments: {},
  externals: [],
  stateDirectory: null,
  fresh: false,
  upgrade: false,
  parallelism: undefined,
  checkpointIntervalMs: undefined,
  restartsMax: undefined,
  slotStuckTimeoutMs: undefined,
  dataPorts: null,
  backend: 'memory',
  json: false,
  verbose: false,
};

/** Runs the command; gives what the engine was handed, null when it was not called. */
async function run(
  changes: Partial<RunCommandOptions> = {},
  engine: RunEmbedded = () => Promise.resolve(outcome('finished')),
) {
  let handed: RunEmbeddedOptions | null = null;
  const terminal = new Terminal(
    { write: (text) => out.push(text) },
    { write: (text) => err.push(text) },
    { quiet: false },
  );
  const result = await runCommand(
    { ...options, ...changes, jobFile: join(directory, 'job.ts') },
    {
      terminal,
      engineVersion: '0.1.0',
      environment: {},
      workingDirectory: directory,
      runEmbedded: (given) => {
        handed = given;
        return engine(given);
      },
    },
  );
  return { result, handed: handed as RunEmbeddedOptions | null };
}

test('a run refuses state in S3 and says where it may be', async () => {
  await expect(run({ stateDirectory: 's3://bucket/state' })).rejects.toThrow(/--state-dir s3:.*→ give one, or submit/);
});

describe('millrace run', () => {
  test('hands the planned job to the engine', async () => {
    const { handed } = await run({
      jobArguments: { factor: '5' },
      parallelism: 3,
      checkpointIntervalMs: 700,
      backend: 'cold',
    });
    expect(handed).toMatchObject({ slots: 3, backend: 'cold', resume: false, workingDirectory: directory });
    expect(handed?.graph).toMatchObject({
      name: 'numbers',
      parameters: { factor: 5 },
      options: { checkpointIntervalMs: 700 },
    });
    expect(handed?.graphHash).toMatch(/^[0-9a-f]{64}$/);
  });

  test('asks the engine for the slots of every slot-sharing group', async () => {
    const body = "env.from<number>(source).map((n) => n).slotSharingGroup('apart').print();";
    writeFileSync(join(directory, 'job.ts'), jobText(body));
    const { handed } = await run({ parallelism: 3 });
    // Three for the pipeline that every job here has, and three for each of the two groups of the other one.
    expect(handed).toMatchObject({ slots: 9 });
  });

  test('removes its temporary state when no state directory is named', async () => {
    const { handed } = await run({}, (given) => {
      expect(existsSync(given.directory)).toBe(true);
      expect(existsSync(given.artifact.path)).toBe(true);
      return Promise.resolve(outcome('finished'));
    });
    expect(existsSync(handed?.directory as string)).toBe(false);
  });

  test('prints totals, counters and where results are when the job has finished', async () => {
    await run();
    const text = out.join('');
    expect(text).toMatch(/^numbers finished after /);
    for (const line of [
      /in +1,200 records/,
      /out +40 records/,
      /late +7 records/,
      /malformedRecords +3/,
      /results +out\/numbers/,
    ])
      expect(text).toMatch(line);
  });

  test('prints collected values as they come, once each', async () => {
    await run({}, (given) => {
      given.onDelivery('top', '1', [{ n: 1 }]);
      given.onDelivery('top', '1', [{ n: 1 }]);
      return Promise.resolve(outcome('finished'));
    });
    expect(out[0]).toBe('top: {"n":1}\n');
    expect(out[1]).toMatch(/^numbers finished/);
  });

  test('prints exactly one JSON line with --json', async () => {
    await run({ json: true }, (given) => {
      given.onDelivery('top', '1', [1, 2]);
      return Promise.resolve(outcome('finished'));
    });
    expect(out).toHaveLength(1);
    expect(JSON.parse(out[0] as string)).toMatchObject({
      ok: true,
      state: 'finished',
      recordsIn: 1_200,
      watermarkMs: null,
      results: { top: [1, 2] },
    });
  });

  test('goes on from its state directory after a stop, and says when there is nothing left to do', async () => {
    const stateDirectory = join(directory, 'state');
    await run({ stateDirectory }, () => Promise.resolve(outcome('stopped')));
    expect(out.join('')).toContain('run the same command again');
    expect((await run({ stateDirectory })).handed?.resume).toBe(true);
    out = [];
    const third = await run({ stateDirectory });
    expect(third.handed).toBeNull();
    expect(out.join('')).toContain('already finished');
  });

  test('reports changed functions and goes on when only function bodies changed', async () => {
    const stateDirectory = join(directory, 'state');
    await run({ stateDirectory }, () => Promise.resolve(outcome('stopped')));
    writeFileSync(join(directory, 'job.ts'), jobText('').replace('n * factor', 'n * factor + 1'));
    expect((await run({ stateDirectory })).handed?.resume).toBe(true);
    expect(err.join('')).toMatch(/functions of operator '.*' changed/);
  });

  test('refuses to start over results of an earlier run, and removes them with --fresh', async () => {
    writeFileSync(join(directory, 'occupied'), '');
    await expect(run()).rejects.toMatchObject({
      code: 'OUTPUT_OCCUPIED',
      message: expect.stringMatching(/3 files.*--fresh/s),
    });
    expect(existsSync(join(directory, 'occupied'))).toBe(true);
    expect((await run({ fresh: true })).handed?.resume).toBe(false);
    expect(existsSync(join(directory, 'occupied'))).toBe(false);
  });

  test('keeps the failure and may go on from the last checkpoint when the job failed', async () => {
    const stateDirectory = join(directory, 'state');
    const error = new EngineError('USER_FUNCTION_FAILED', 'map threw');
    const { result } = await run({ stateDirectory }, () => Promise.resolve(outcome('failed', error)));
    expect(result.outcome?.error).toBe(error);
    expect(JSON.parse(readFileSync(join(stateDirectory, 'millrace.json'), 'utf8'))).toMatchObject({ phase: 'failed' });
    expect(out.join('')).toContain('go on from checkpoint 4');
    expect((await run({ stateDirectory })).handed?.resume).toBe(true);
  });

  test('gives the state directory back when the engine could not be started', async () => {
    const stateDirectory = join(directory, 'state');
    await expect(
      run({ stateDirectory }, () => Promise.reject(new EngineError('PORT_IN_USE', 'port taken'))),
    ).rejects.toMatchObject({ code: 'PORT_IN_USE' });
    expect((await run({ stateDirectory })).handed?.resume).toBe(true);
  });

  test('asks for a stop at the first signal', async () => {
    const { result } = await run({}, async (given) => {
      process.emit('SIGINT', 'SIGINT');
      expect(given.stop.aborted).toBe(true);
      return outcome('stopped');
    });
    expect(result.outcome?.state).toBe('stopped');
    expect(err.join('')).toContain('stopping with a last checkpoint');
    expect(out.join('')).toContain('no --state-dir');
  });
});

describe('withRestartLimit', () => {
  const graph = { formatVersion: 1, name: 'x', parameters: {}, options: jobOptionsDefault, vertices: [], edges: [] };

  test('bounds a strategy that never gives up', () => {
    expect(withRestartLimit(graph, undefined).options.restart).toMatchObject({
      kind: 'exponential-delay',
      attemptsMax: 3,
    });
    expect(withRestartLimit(graph, 7).options.restart).toMatchObject({ attemptsMax: 7 });
    expect(withRestartLimit(graph, 0).options.restart).toEqual({ kind: 'none' });
  });

  test('keeps what the job says when it has a bound', () => {
    const restart = { kind: 'failure-rate', delayMs: 5, failuresMax: 2, intervalMs: 9 } as const;
    const bounded = { ...graph, options: { ...jobOptionsDefault, restart } };
    expect(withRestartLimit(bounded, undefined).options.restart).toEqual(restart);
    expect(withRestartLimit(bounded, 4).options.restart).toEqual({ kind: 'fixed-delay', delayMs: 5, attemptsMax: 4 });
  });
});

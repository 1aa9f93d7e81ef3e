import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { graphHash } from '../../core/graph/graph-hash.ts';
import type { JobGraph } from '../../core/graph/job-graph.ts';
import { jobOptionsDefault } from '../../core/graph/job-options.ts';
import { type DirectoryJob, type OpenOptions, openStateDirectory } from './state-directory.ts';

let parent: string;
let directory: string;
beforeEach(() => {
  parent = mkdtempSync(join(tmpdir(), 'millrace-state-'));
  directory = join(parent, 'state');
});
afterEach(() => rmSync(parent, { recursive: true, force: true }));

function jobNamed(
  name: string,
  changes: { kind?: string; functions?: string; code?: string; parameters?: JobGraph['parameters'] } = {},
): DirectoryJob {
  const operator = {
    id: 'numbers',
    kind: 'source-reader',
    name: 'numbers',
    idExplicit: true,
    stateful: true,
    upstreamIndex: -1,
    upstreamTag: null,
  } as const;
  const graph: JobGraph = {
    formatVersion: 1,
    name,
    parameters: changes.parameters ?? {},
    options: jobOptionsDefault,
    vertices: [
      {
        id: 'numbers',
        name: 'numbers',
        parallelism: 1,
        operators: [
          { ...operator, config: { source: changes.kind ?? 'generator', options: {}, boundedness: 'bounded' } },
        ],
      },
    ],
    edges: [],
  };
  const code = Buffer.from(changes.code ?? 'export default 1;');
  return {
    graph,
    graphHash: graphHash(graph),
    functionsFingerprint: { numbers: changes.functions ?? '1' },
    artifact: { code, sha256: code.toString('hex').slice(0, 16) },
    engineVersion: '0.1.0',
    workingDirectory: parent,
  };
}

const freeOutputs = (): Promise<void> => Promise.resolve();
const open = (job: DirectoryJob, options: Partial<OpenOptions> = {}) =>
  openStateDirectory(directory, job, { fresh: false, upgrade: false, prepareOutputs: freeOutputs, ...options });

async function runOnce(job: DirectoryJob, phase: 'finished' | 'stopped' = 'stopped'): Promise<void> {
  const opened = await open(job);
  writeFileSync(join(directory, 'storage', 'checkpoint'), 'state');
  await opened?.recordPhase(phase);
  opened?.close();
}

describe('a state directory on disk', () => {
  test('keeps artifact, graph and identity when a job starts in it', async () => {
    const opened = await open(jobNamed('delays'));
    expect(opened?.resume).toBe(false);
    expect(readFileSync(opened?.artifactPath as string, 'utf8')).toBe('export default 1;');
    expect(JSON.parse(readFileSync(join(directory, 'millrace.json'), 'utf8'))).toMatchObject({
      jobName: 'delays',
      phase: 'active',
    });
    opened?.close();
  });

  test('resumes with the new artifact, and drops the old one, when functions changed', async () => {
    await runOnce(jobNamed('delays'));
    const opened = await open(jobNamed('delays', { functions: '2', code: 'export default 22;' }));
    expect(opened?.resume).toBe(true);
    expect(opened?.changes).toEqual([expect.stringContaining("'numbers'")]);
    expect(readdirSync(join(directory, 'artifacts'))).toHaveLength(1);
    expect(readFileSync(opened?.artifactPath as string, 'utf8')).toBe('export default 22;');
    expect(existsSync(join(directory, 'storage', 'checkpoint'))).toBe(true);
    opened?.close();
  });

  test('reports parameters that changed when it resumes', async () => {
    await runOnce(jobNamed('delays', { parameters: { airport: 'ATL' } }));
    const opened = await open(jobNamed('delays', { parameters: { airport: 'BNA' } }));
    expect(opened?.changes).toEqual([expect.stringMatching(/airport was "ATL", now "BNA"/)]);
    opened?.close();
  });

  test('keeps the working directory of its first run when resumed from another', async () => {
    await runOnce(jobNamed('delays'));
    const opened = await open({ ...jobNamed('delays'), workingDirectory: '/elsewhere' });
    expect(opened?.workingDirectory).toBe(parent);
    opened?.close();
  });

  test('names what changed and leaves everything as it is when the graph is another', async () => {
    await runOnce(jobNamed('delays'));
    const before = readFileSync(join(directory, 'millrace.json'), 'utf8');
    await expect(open(jobNamed('delays', { kind: 'files.csv' }))).rejects.toThrow(/numbers.*generator.*files\.csv/s);
    expect(readFileSync(join(directory, 'millrace.json'), 'utf8')).toBe(before);
    expect(existsSync(join(directory, 'storage', 'checkpoint'))).toBe(true);
  });

  test('answers that there is nothing to do when the job has finished, and gives the lock back', async () => {
    await runOnce(jobNamed('delays'), 'finished');
    expect(await open(jobNamed('delays'))).toBeNull();
    expect(await open(jobNamed('delays'))).toBeNull();
  });

  test('is cleared of state, and of nothing else, when --fresh is given', async () => {
    await runOnce(jobNamed('delays'), 'finished');
    writeFileSync(join(directory, 'notes.txt'), 'mine');
    const opened = await open(jobNamed('delays', { kind: 'files.csv' }), { fresh: true });
    expect(opened?.resume).toBe(false);
    expect(existsSync(join(directory, 'storage', 'checkpoint'))).toBe(false);
    expect(readFileSync(join(directory, 'notes.txt'), 'utf8')).toBe('mine');
    opened?.close();
  });

  test('is never resumed from when clearing it was interrupted', async () => {
    await runOnce(jobNamed('delays'));
    const crash = () => Promise.reject(new Error('power cut'));
    await expect(open(jobNamed('delays'), { fresh: true, prepareOutputs: crash })).rejects.toThrow('power cut');
    let asked = 0;
    const opened = await open(jobNamed('delays'), {
      prepareOutputs: () => {
        asked++;
        return Promise.resolve();
      },
    });
    expect(opened?.resume).toBe(false);
    expect(asked).toBe(1);
    opened?.close();
  });

  test('does not ask for free outputs when the job resumes', async () => {
    await runOnce(jobNamed('delays'));
    const opened = await open(jobNamed('delays'), { prepareOutputs: () => Promise.reject(new Error('asked')) });
    expect(opened?.resume).toBe(true);
    opened?.close();
  });

  test('is started in when an earlier start crashed before it wrote what it is', async () => {
    mkdirSync(join(directory, 'graphs'), { recursive: true });
    writeFileSync(join(directory, 'graphs', 'half.json'), '{');
    const opened = await open(jobNamed('delays'));
    expect(opened?.resume).toBe(false);
    opened?.close();
  });

  test('is refused and untouched when it holds other files', async () => {
    mkdirSync(directory);
    writeFileSync(join(directory, 'thesis.doc'), 'text');
    await expect(open(jobNamed('delays'), { fresh: true })).rejects.toMatchObject({ code: 'STATE_DIRECTORY_FOREIGN' });
    expect(readdirSync(directory)).toEqual(['thesis.doc']);
  });

  test('is refused when state is there but millrace.json is gone', async () => {
    await runOnce(jobNamed('delays'));
    rmSync(join(directory, 'millrace.json'));
    await expect(open(jobNamed('delays'))).rejects.toMatchObject({ code: 'STATE_DIRECTORY_FOREIGN' });
  });

  test('is refused when it is a file', async () => {
    writeFileSync(directory, '');
    await expect(open(jobNamed('delays'))).rejects.toMatchObject({ code: 'STATE_DIRECTORY_FOREIGN' });
  });

  test('is refused when it is in use, also with --fresh', async () => {
    const opened = await open(jobNamed('delays'));
    for (const fresh of [false, true]) {
      await expect(open(jobNamed('delays'), { fresh })).rejects.toMatchObject({ code: 'STATE_DIRECTORY_IN_USE' });
    }
    opened?.close();
  });
});

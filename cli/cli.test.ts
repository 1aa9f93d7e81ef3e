/**
 * The command line as a user meets it: processes of `bin/millrace.js`, and what they print and exit with when something is
 * wrong. Needs the build.
 */
import { execFile } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { acquireDirectoryLock } from './run/directory-lock.ts';

const root = fileURLToPath(new URL('..', import.meta.url));
const timeLimitMs = 30_000;
let directory: string;

beforeAll(() => {
  expect(existsSync(join(root, 'dist/cli/main.js')), 'dist/ is missing: npm run build').toBe(true);
});
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'millrace-cli-'));
  write('job.ts', jobText('airports'));
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

const write = (name: string, text: string): void => writeFileSync(join(directory, name), text);

/** A job whose source no test ever opens. */
function jobText(name: string): string {
  return `import { defineJob, params } from 'millrace';
const source: any = { type: 'source', kind: 'test', options: {}, boundedness: 'bounded', openSplitsMax: 1, splitId: String, createPlanner() {}, createReader() {} };
export default defineJob('${name}', (env) => {
  const { airport } = env.params({ airport: params.string({ default: 'ATL', description: 'which airport' }) });
  env.from<{ origin: string }>(source, { uid: 'flights' }).filter((f) => f.origin === airport).collect('flights');
});
`;
}

interface Ended {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs `millrace` in the temporary directory. */
function millrace(...args: readonly string[]): Promise<Ended> {
  const command = [join(root, 'bin/millrace.js'), ...args];
  return new Promise((resolve) => {
    execFile(process.execPath, command, { cwd: directory, timeout: timeLimitMs }, (error, stdout, stderr) => {
      const code = error === null ? 0 : typeof error.code === 'number' ? error.code : -1;
      resolve({ code, stdout, stderr });
    });
  });
}

/** The identity of a state directory as another run would have left it. */
function plantIdentity(changes: Readonly<Record<string, unknown>>): void {
  const identity = {
    formatVersion: 1,
    engineVersion: '0.1.0',
    jobName: 'airports',
    graphHash: 'of an earlier graph',
    graph: { name: 'graphs/gone.json', sha256: '' },
    functionsFingerprint: {},
    artifact: { name: 'artifacts/gone.mjs', sha256: '' },
    workingDirectory: directory,
    phase: 'active',
    ...changes,
  };
  write('millrace.json', JSON.stringify(identity));
}

describe('millrace without a job', () => {
  test('prints its version', async () => {
    const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { version: string };
    expect(await millrace('--version')).toEqual({ code: 0, stdout: `${version}\n`, stderr: '' });
  });

  test('prints help with every command when asked', async () => {
    const { code, stdout } = await millrace('--help');
    expect(code).toBe(0);
    expect(stdout).toMatch(/run .*plan .*check .*init /s);
    expect((await millrace('run', '--help')).stdout).toMatch(/--state-dir.*--fresh.*Ctrl-C/s);
    expect((await millrace('run', '--help')).stdout).not.toContain('--backend');
  });

  test('exits with 2 when there is no command', async () => {
    const { code, stderr } = await millrace();
    expect(code).toBe(2);
    expect(stderr).toContain('no command was given');
  });
});

/** Arguments, exit code, and what must be on stderr: what happened, then what to do. */
const badInput: readonly [string, readonly string[], number, RegExp][] = [
  ['the command is misspelt', ['rnu', 'job.ts'], 2, /unknown command rnu[\s\S]*→ did you mean run\?/],
  ['no job file is named', ['run'], 2, /missing required argument job-file[\s\S]*→/],
  ['the job file does not exist', ['run', 'nope.ts'], 2, /there is no job file .*nope\.ts[\s\S]*→ check the path/],
  ['the job file is a directory', ['run', '.'], 2, /is not a file[\s\S]*→/],
  [
    'an option is misspelt',
    ['run', 'job.ts', '--state-dri', 'x'],
    2,
    /unknown option --state-dri[\s\S]*→ did you mean --state-dir\?/,
  ],
  [
    'a parameter is given without --',
    ['run', 'job.ts', '--airport', 'ATL'],
    2,
    /unknown option --airport[\s\S]*→ .*millrace run job\.ts -- --airport/,
  ],
  ['a word follows the job file', ['run', 'job.ts', 'ATL'], 2, /"ATL" is not a parameter[\s\S]*→/],
  ['a parameter is misspelt', ['run', 'job.ts', '--', '--airprot', 'ATL'], 2, /--airprot.*--airport/],
  [
    'the parallelism is no number',
    ['run', 'job.ts', '--parallelism', 'many'],
    2,
    /--parallelism is a whole number from 1 to 32768, not "many"/,
  ],
  ['the parallelism is zero', ['plan', 'job.ts', '--parallelism', '0'], 2, /--parallelism is a whole number/],
  [
    'the interval has no unit',
    ['run', 'job.ts', '--checkpoint-interval', '5'],
    2,
    /--checkpoint-interval is a time such as .*not "5"/,
  ],
  ['the backend is unknown', ['run', 'job.ts', '--backend', 'rocks'], 2, /--backend is one of memory, cold/],
  ['an option lacks its value', ['run', 'job.ts', '--state-dir'], 2, /--state-dir.*argument missing/],
];

describe('millrace refuses', () => {
  test.each(badInput)('when %s', async (_case, args, expectedCode, expected) => {
    const { code, stdout, stderr } = await millrace(...args);
    expect({ code, stdout }).toEqual({ code: expectedCode, stdout: '' });
    expect(stderr).toMatch(expected);
    expect(stderr).not.toContain('    at ');
  });

  test.each([
    ['exports no default', 'export const a = 1;', /has no default export[\s\S]*→ write `export default defineJob/],
    ['exports something else', 'export default () => 1;', /not a job[\s\S]*→ write `export default defineJob/],
    ['has a syntax error', 'export default ;\n', /job\.ts:1:16: Unexpected ";"/],
    [
      'throws when loaded',
      '\nthrow new RangeError("too far");\nexport default 1;',
      /RangeError: too far[\s\S]*at .*job\.ts:2:7/,
    ],
    [
      'imports what is not installed',
      'import x from "left-pad"; export default x;',
      /Could not resolve "left-pad"[\s\S]*→ install it \(npm install left-pad\)/,
    ],
    [
      'imports an entry point that does not exist',
      'import x from "millrace/kafak"; export default x;',
      /millrace\/kafak[\s\S]*→ it has .*millrace\/files/,
    ],
  ])('when the job file %s', async (_case, text, expected) => {
    write('job.ts', text);
    const { code, stdout, stderr } = await millrace('run', 'job.ts');
    expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
    expect(stderr).toMatch(expected);
    expect(stderr).not.toMatch(/node:internal|millrace-job-/);
  });

  test('a definition that throws, with the line of the user', async () => {
    write(
      'job.ts',
      `import { defineJob } from 'millrace';\nexport default defineJob('x', () => {\n  null!.from();\n});\n`,
    );
    const { code, stderr } = await millrace('plan', 'job.ts');
    expect(code).toBe(1);
    expect(stderr).toMatch(/job '?x'?.* threw[\s\S]*job\.ts:3:/);
  });

  test('with one JSON line when --json is given', async () => {
    const { code, stdout, stderr } = await millrace('run', 'nope.ts', '--json');
    expect({ code, stderr }).toEqual({ code: 2, stderr: '' });
    expect(stdout.trim().split('\n')).toHaveLength(1);
    expect(JSON.parse(stdout)).toMatchObject({
      ok: false,
      error: { code: 'USAGE', message: expect.stringContaining('nope.ts') },
    });
  });
});

describe('millrace run refuses a state directory', () => {
  /** Here the temporary directory itself is the state directory, and the job lies elsewhere. */
  async function runHere(...args: readonly string[]): Promise<Ended> {
    const jobs = mkdtempSync(join(tmpdir(), 'millrace-cli-job-'));
    try {
      writeFileSync(join(jobs, 'job.ts'), jobText('airports'));
      rmSync(join(directory, 'job.ts'), { force: true });
      return await millrace('run', join(jobs, 'job.ts'), '--state-dir', '.', ...args);
    } finally {
      rmSync(jobs, { recursive: true, force: true });
    }
  }

  test('when it belongs to another job', async () => {
    plantIdentity({ jobName: 'orders' });
    const { code, stderr } = await runHere();
    expect(code).toBe(1);
    expect(stderr).toMatch(/belongs to the job orders, not to airports[\s\S]*→/);
  });

  test('when a newer version wrote it', async () => {
    plantIdentity({ formatVersion: 7, engineVersion: '3.1.0' });
    const { code, stderr } = await runHere('--fresh');
    expect(code).toBe(1);
    expect(stderr).toMatch(/written by millrace 3\.1\.0 in format 7/);
  });

  test('when the graph changed', async () => {
    plantIdentity({});
    const { code, stderr } = await runHere();
    expect(code).toBe(1);
    expect(stderr).toMatch(/graph of the job airports is not the one[\s\S]*→ .*--fresh/);
  });

  test('when it is in use, naming the process', async () => {
    const lock = await acquireDirectoryLock(directory);
    try {
      const { code, stderr } = await runHere();
      expect(code).toBe(1);
      expect(stderr).toMatch(new RegExp(`in use by process ${process.pid}[\\s\\S]*→`));
    } finally {
      lock.release();
    }
  });

  test('and leaves it as it is when it holds other files', async () => {
    write('thesis.doc', 'text');
    const { code, stderr } = await runHere('--fresh');
    expect(code).toBe(1);
    expect(stderr).toMatch(/holds thesis\.doc[\s\S]*→ name an empty or new directory/);
    expect(readdirSync(directory)).toEqual(['thesis.doc']);
  });

  test('when its identity is damaged', async () => {
    write('millrace.json', '{"formatVersion": 1');
    const { code, stderr } = await runHere();
    expect(code).toBe(1);
    expect(stderr).toMatch(/unreadable millrace\.json/);
  });
});

describe('millrace plan', () => {
  test('shows operators, parameters and graph hash', async () => {
    const { code, stdout } = await millrace('plan', 'job.ts', '--', '--airport=BNA');
    expect(code).toBe(0);
    expect(stdout).toMatch(/flights[\s\S]*graph hash [0-9a-f]{64}/);
    expect(stdout).toContain('BNA');
  });

  test('is one JSON line with --json', async () => {
    const { stdout } = await millrace('plan', 'job.ts', '--json');
    expect(JSON.parse(stdout)).toMatchObject({ ok: true, graph: { name: 'airports' } });
  });
});

/** `millrace run --watch`, `run --upgrade`, `plan --from` and `check` as processes, on a job that is edited. Needs the build. */
import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, expect, test } from 'vitest';

const root = fileURLToPath(new URL('../..', import.meta.url));
const timeLimitMs = 120_000;

let directory: string;
let commands: Command[];

beforeEach(() => {
  expect(existsSync(join(root, 'dist/cli/main.js')), 'dist/ is missing: npm run build').toBe(true);
  directory = mkdtempSync(join(tmpdir(), 'millrace-watch-'));
  commands = [];
});
afterEach(() => {
  for (const command of commands) command.kill();
  rmSync(directory, { recursive: true, force: true });
});

/** One process of `millrace`, and the lines it prints. */
class Command {
  readonly lines: string[] = [];
  readonly exited: Promise<number | null>;
  readonly #child: ChildProcess;
  #onLine: () => void = () => {};

  constructor(...args: readonly string[]) {
    const child = spawn(process.execPath, [join(root, 'bin/millrace.js'), ...args], {
      cwd: directory,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    this.#child = child;
    for (const stream of [child.stdout, child.stderr]) {
      createInterface({ input: stream }).on('line', (line) => {
        this.lines.push(line);
        this.#onLine();
      });
    }
    this.exited = new Promise((resolve) => {
      child.on('close', (code) => {
        resolve(code);
        this.#onLine();
      });
    });
    commands.push(this);
  }

  /** The first line that matches among those printed from now on, or since `from` lines were there. */
  async line(pattern: RegExp, from = this.lines.length): Promise<RegExpExecArray> {
    for (let next = from; ; next++) {
      while (next >= this.lines.length) {
        if (this.#child.exitCode !== null) throw new Error(`no line like ${pattern}:\n${this.lines.join('\n')}`);
        await new Promise<void>((resolve) => {
          this.#onLine = resolve;
        });
      }
      const match = pattern.exec(this.lines[next] as string);
      if (match !== null) return match;
    }
  }

  interrupt(): void {
    this.#child.kill('SIGINT');
  }

  kill(): void {
    this.#child.kill('SIGKILL');
  }
}

interface JobText {
  label?: string;
  uid?: string;
  extra?: string;
  records?: number | null;
}

/** Counts records of a paced generator, and prints every hundredth count with the label. */
function writeJob({ label = 'first', uid = 'counting', extra = '', records = null }: JobText = {}): void {
  const limit = records === null ? '' : `count: ${records}, `;
  writeFileSync(
    join(directory, 'job.ts'),
    `import { defineJob, emits, valueState } from 'millrace';
import { generator } from 'millrace/generator';
export default defineJob('edited', (env) => {
  env.from(generator<number>({ ${limit}ratePerSecond: 2000, splits: 1, make: (index) => index }), { uid: 'numbers' })
    ${extra}
    .keyBy(() => 0)
    .process(emits<string>(), {
      state: { seen: valueState<number>() },
      onRecord(_, { state, emit }) {
        const seen = (state.seen.value() ?? 0) + 1;
        state.seen.update(seen);
        if (seen % 100 === 0) emit('${label} ' + seen);
      },
    }).uid('${uid}')
    .print().uid('printed');
});
`,
  );
}

const countOf = (match: RegExpExecArray): number => Number(match[1]);
const printed = (label: string): RegExp => new RegExp(`"${label} (\\d+)"`);

test('run --watch goes on with its state when the job changes, and with the old job when the change is wrong', {
  timeout: timeLimitMs,
}, async () => {
  writeJob();
  const command = new Command('run', 'job.ts', '--watch', '--checkpoint-interval', '100ms');
  const before = countOf(await command.line(printed('first'), 0));
  writeJob({ label: 'second' });
  expect(countOf(await command.line(printed('second'), 0))).toBeGreaterThan(before);

  let from = command.lines.length;
  writeFileSync(join(directory, 'job.ts'), 'export default nonsense(');
  await command.line(/error: .*job\.ts/, from);
  const meanwhile = countOf(await command.line(printed('second')));

  from = command.lines.length;
  writeJob({ label: 'third', uid: 'renamed' });
  await command.line(/operator 'counting': .*no longer in the job/, from);
  expect(countOf(await command.line(printed('second')))).toBeGreaterThan(meanwhile);

  // A stateless operator more: another graph, the same state.
  writeJob({ label: 'fourth', extra: '.filter((n) => n >= 0)' });
  expect(countOf(await command.line(printed('fourth')))).toBeGreaterThan(meanwhile);
  command.interrupt();
  expect(await command.exited).toBe(0);
});

test('run --watch runs a finished job again from the beginning when it changes', { timeout: timeLimitMs }, async () => {
  writeJob({ records: 200 });
  const command = new Command('run', 'job.ts', '--watch');
  await command.line(/waiting for a change/, 0);
  expect(command.lines).toContain('"first 200"');
  writeJob({ records: 200, label: 'second' });
  await command.line(/"second 100"/, 0);
  await command.line(/waiting for a change/);
  command.interrupt();
  expect(await command.exited).toBe(0);
});

test('run --upgrade goes on with a changed graph, and plan --from says so before', {
  timeout: timeLimitMs,
}, async () => {
  const stateful = ['--state-dir', 'state', '--checkpoint-interval', '100ms'];
  writeJob();
  const first = new Command('run', 'job.ts', ...stateful);
  const before = countOf(await first.line(printed('first'), 0));
  await first.line(/checkpoint/, 0);
  first.interrupt();
  expect(await first.exited).toBe(0);

  writeJob({ label: 'second', extra: '.filter((n) => n >= 0)' });
  const plan = new Command('plan', 'job.ts', '--from', 'state');
  expect(await plan.exited).toBe(0);
  expect(plan.lines.join('\n')).toMatch(
    /checkpoint \d+ of [\s\S]*operator 'filter-1' \(filter\) was added[\s\S]*counting +is restored[\s\S]*--upgrade/,
  );

  const refused = new Command('run', 'job.ts', ...stateful);
  expect(await refused.exited).toBe(1);
  expect(refused.lines.join('\n')).toMatch(/filter-1[\s\S]*→ .*--upgrade/);

  const second = new Command('run', 'job.ts', ...stateful, '--upgrade');
  expect(countOf(await second.line(printed('second'), 0))).toBeGreaterThan(before);
  second.kill();
  await second.exited;

  // Killed perhaps before a checkpoint by the new graph: the state is still found, without --upgrade.
  const third = new Command('run', 'job.ts', ...stateful);
  expect(countOf(await third.line(printed('second'), 0))).toBeGreaterThan(before);
  third.interrupt();
  expect(await third.exited).toBe(0);

  writeJob({ uid: 'renamed' });
  const gone = new Command('plan', 'job.ts', '--from', 'state', '--json');
  expect(await gone.exited).toBe(1);
  const { state } = JSON.parse(gone.lines.find((line) => line.startsWith('{')) as string) as {
    state: { restorable: boolean; operators: { operatorId: string; verdict: string }[] };
  };
  expect(state.restorable).toBe(false);
  expect(state.operators).toContainEqual(expect.objectContaining({ operatorId: 'counting', verdict: 'refused' }));
  expect(state.operators).toContainEqual(expect.objectContaining({ operatorId: 'renamed', verdict: 'start-empty' }));
});

test('plan --from says what is wrong when there is no state', { timeout: timeLimitMs }, async () => {
  writeJob();
  const missing = new Command('plan', 'job.ts', '--from', 'nowhere');
  expect(await missing.exited).toBe(2);
  expect(missing.lines.join('\n')).toMatch(/no state directory .*nowhere[\s\S]*→/);
  mkdirSync(join(directory, 'empty'));
  const empty = new Command('plan', 'job.ts', '--from', 'empty');
  expect(await empty.exited).toBe(1);
  expect(empty.lines.join('\n')).toMatch(/holds no state of a job/);
});

test('plan --mermaid prints a flowchart with a box for each vertex', { timeout: timeLimitMs }, async () => {
  writeJob({ extra: '.filter((n) => n >= 0).name("a \\"quoted\\" <name>")' });
  const plan = new Command('plan', 'job.ts', '--mermaid', '--parallelism', '2');
  expect(await plan.exited).toBe(0);
  const text = plan.lines.filter((line) => !line.startsWith('warning')).join('\n');
  expect(text).toMatch(/^flowchart LR\n {2}subgraph v0\["numbers-planner ×1"\]/);
  expect(text).toContain('a &quot;quoted&quot; &lt;name&gt;');
  expect(text).toMatch(/v1o\d -->\|"hash"\| v2o0/);
});

test('check finds type errors, which run does not, and definitions that cannot be planned', {
  timeout: timeLimitMs,
}, async () => {
  symlinkSync(join(root, 'node_modules'), join(directory, 'node_modules'));
  mkdirSync(join(directory, 'types'));
  const paths = {
    millrace: [join(root, 'dist/client/index.d.ts')],
    'millrace/generator': [join(root, 'dist/connectors/generator/index.d.ts')],
  };
  const compilerOptions = {
    strict: true,
    target: 'es2023',
    module: 'nodenext',
    moduleResolution: 'nodenext',
    skipLibCheck: true,
    noEmit: true,
    types: ['node'],
    paths,
  };
  writeFileSync(join(directory, 'tsconfig.json'), JSON.stringify({ compilerOptions }));
  writeFileSync(join(directory, 'package.json'), JSON.stringify({ type: 'module' }));
  writeJob();
  const right = new Command('check', 'job.ts');
  expect(await right.exited, right.lines.join('\n')).toBe(0);
  expect(right.lines.join('\n')).toMatch(/types are right, job edited has \d vertices/);

  writeJob({ extra: '.map((n) => n.toUpperCase())' });
  const wrong = new Command('check', 'job.ts');
  expect(await wrong.exited).toBe(1);
  expect(wrong.lines.join('\n')).toMatch(/job\.ts\(\d+,\d+\): error TS2339: .*toUpperCase[\s\S]*1 type error/);

  writeJob({ uid: 'printed' });
  const invalid = new Command('check', 'job.ts');
  expect(await invalid.exited).toBe(1);
  expect(invalid.lines.join('\n')).toMatch(/both have the id 'printed'/);
});

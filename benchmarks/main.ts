/**
 * `npm run bench -- <name> [--case c] [--parallelism N] [--seconds S] [--runs R] [--json]`. Benchmarks of the whole engine
 * run each in a process of their own, so that peak memory and warm code of one are not those of another.
 */
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import type { BenchmarkRow } from './row.ts';
import { rowsTable } from './rows-table.ts';

const usage = `usage: npm run bench -- <codec|exchange|state|keyed-sum|sliding-window|large-state|checkpoint-cost|latency|startup|control-plane|failover|nexmark|all>
  --case TEXT        only cases whose name contains TEXT
  --parallelism N    only cases of this parallelism
  --seconds S        about how long each case runs (default 10; micro benchmarks 1)
  --runs R           runs of each case (default 1)
  --query Q          nexmark: only this query (q0 to q22 without q6)
  --check            nexmark: compare results over a million events with SQL instead of timing
  --json             one JSON object a row
`;

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    case: { type: 'string' },
    parallelism: { type: 'string' },
    seconds: { type: 'string' },
    runs: { type: 'string', default: '1' },
    json: { type: 'boolean', default: false },
    query: { type: 'string' },
    check: { type: 'boolean', default: false },
    /** Not for people: the process that measures one case. */
    'in-process': { type: 'boolean', default: false },
  },
});

interface Case {
  readonly benchmark: string;
  readonly name: string;
  readonly parallelism: number;
  /** In a process of its own. */
  readonly isolated: boolean;
  run(): Promise<readonly BenchmarkRow[]>;
}

const seconds = (defaultSeconds: number): number => Number(values.seconds ?? defaultSeconds);

async function allCases(): Promise<readonly Case[]> {
  const [{ endToEndCases, runEndToEnd }, startup, { controlPlaneCases }, { failoverCases }, nexmark] =
    await Promise.all([
      import('./end-to-end.ts'),
      import('./startup.ts'),
      import('./control-plane.ts'),
      import('./failover.ts'),
      import('./nexmark/defaults.ts'),
    ]);
  const micro = (benchmark: string, run: () => Promise<readonly BenchmarkRow[]>): Case => ({
    benchmark,
    name: '',
    parallelism: 0,
    isolated: false,
    run,
  });
  return [
    micro('codec', async () => (await import('./codec.ts')).runCodecBenchmark({ seconds: seconds(1) })),
    micro('exchange', async () => (await import('./exchange.ts')).runExchangeBenchmark({ seconds: seconds(1) })),
    micro('state', async () => (await import('./state.ts')).runStateBenchmark({ seconds: seconds(1) })),
    ...endToEndCases.map((chosen) => ({
      benchmark: chosen.benchmark,
      name: chosen.case,
      parallelism: chosen.parallelism,
      isolated: true,
      run: async () => [await runEndToEnd(chosen, seconds(10))],
    })),
    ...Object.entries(controlPlaneCases).map(([name, measure]) => ({
      benchmark: 'control-plane',
      name,
      parallelism: 250,
      isolated: true,
      run: async () => [await measure()],
    })),
    ...Object.entries(failoverCases).map(([name, measure]) => ({
      benchmark: 'failover',
      name,
      parallelism: 2,
      isolated: true,
      run: async () => [await measure(seconds(120))],
    })),
    ...nexmark.queryNames.map((query) => ({
      benchmark: 'nexmark',
      name: query,
      parallelism: Number(values.parallelism ?? 1),
      isolated: true,
      run: async () => {
        const { checkedRow, timedRow } = await import('./nexmark/run.ts');
        const parallelism = Number(values.parallelism ?? 1);
        return [await (values.check ? checkedRow(query, parallelism) : timedRow(query, seconds(35), parallelism))];
      },
    })),
    {
      benchmark: 'startup',
      name: 'first result',
      parallelism: 1,
      isolated: false,
      run: async () => [await startup.firstResultRow()],
    },
    { benchmark: 'startup', name: 'idle', parallelism: 1, isolated: false, run: async () => [await startup.idleRow()] },
  ];
}

/** Runs one case in a process of its own. */
function isolated(chosen: Case): readonly BenchmarkRow[] {
  const args = [
    chosen.benchmark,
    '--case',
    chosen.name,
    '--parallelism',
    String(chosen.parallelism),
    '--in-process',
    '--json',
  ];
  if (values.seconds !== undefined) args.push('--seconds', values.seconds);
  if (values.check) args.push('--check');
  if (chosen.benchmark === 'nexmark') args.push('--query', chosen.name);
  const child = spawnSync(process.execPath, [fileURLToPath(import.meta.url), ...args], {
    stdio: ['ignore', 'pipe', 'inherit'],
    encoding: 'utf8',
  });
  if (child.status !== 0) throw new Error(`${chosen.benchmark} '${chosen.name}' failed with exit code ${child.status}`);
  return child.stdout
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as BenchmarkRow);
}

/** Micro benchmarks have their cases inside: they are chosen by row. */
function isWanted(row: { readonly case: string; readonly parallelism: number }): boolean {
  return (
    row.case.includes(values.case ?? '') &&
    (values.parallelism === undefined || row.parallelism === Number(values.parallelism))
  );
}

async function main(): Promise<void> {
  const [name] = positionals;
  const cases = (await allCases()).filter((one) => name === 'all' || one.benchmark === name);
  if (name === undefined || cases.length === 0) {
    process.stderr.write(usage);
    process.exitCode = 2;
    return;
  }
  const rows: BenchmarkRow[] = [];
  for (let run = 0; run < Number(values.runs); run++) {
    for (const one of cases) {
      if (values.query !== undefined && (one.benchmark !== 'nexmark' || one.name !== values.query)) continue;
      if (one.name !== '' && !isWanted({ case: one.name, parallelism: one.parallelism })) continue;
      const made = one.isolated && !values['in-process'] ? isolated(one) : await one.run();
      for (const row of made.filter(isWanted)) {
        rows.push(row);
        if (values.json) process.stdout.write(`${JSON.stringify(row)}\n`);
        else process.stderr.write(`${row.benchmark} ${row.case}: ${row.eventsPerSecond} events/s\n`);
      }
    }
  }
  if (!values.json) process.stdout.write(`${rowsTable(rows)}\n`);
  if (rows.length === 0) process.stderr.write('no case has this name and parallelism\n');
}

await main();
process.stdout.write('', () => process.exit());

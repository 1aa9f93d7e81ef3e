/**
 * Runs the simulator: `npm run simulate -- --seeds 2000` (seeds 1..2000 over two threads, one in a hundred run twice), or `--seed S --trace`
 * for one. The last line is JSON; the exit code is 1 when a check was violated, a situation was never met in a large batch, or a schedule
 * was not the same when it was run again.
 */
import { parseArgs } from 'node:util';
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';
import { loadSimulator } from './load-simulator.mjs';

/** Batches of at least this many schedules have to meet every situation. */
const completeBatch = 300;
const rerunEvery = 100;

function tally(sometimes, more) {
  for (const [name, count] of more) sometimes.set(name, (sometimes.get(name) ?? 0) + count);
}

/** Seeds `first, first + step, …` below or at `last`. */
async function runShare({ first, step, last }) {
  const { runSchedule } = await loadSimulator();
  const sometimes = new Map();
  const violations = [];
  let schedules = 0;
  let events = 0;
  for (let seed = first; seed <= last; seed += step) {
    const result = runSchedule(seed);
    schedules++;
    events += result.events;
    tally(sometimes, result.sometimes);
    if (result.violation !== null) violations.push({ seed, violation: result.violation });
    if (seed % rerunEvery === 0 && runSchedule(seed).traceHash !== result.traceHash) {
      violations.push({ seed, violation: 'the schedule was different when it was run again' });
    }
  }
  return { schedules, events, violations, sometimes };
}

function runInThread(share) {
  return new Promise((resolve, reject) => {
    const worker = new Worker(new URL(import.meta.url), { workerData: share });
    worker.once('message', resolve);
    worker.once('error', reject);
  });
}

async function runOne(seed, trace) {
  const { runSchedule } = await loadSimulator();
  const result = runSchedule(seed, { traced: trace });
  for (const line of result.trace) console.log(line);
  console.log(`configuration ${JSON.stringify(result.configuration)}`);
  if (result.violation !== null) console.log(`VIOLATION ${result.violation}`);
  const sometimes = Object.fromEntries(result.sometimes);
  console.log(
    JSON.stringify({
      seed,
      violation: result.violation !== null,
      events: result.events,
      virtualMs: result.virtualMs,
      sometimes,
    }),
  );
  process.exitCode = result.violation === null ? 0 : 1;
}

async function runBatch(seeds, first) {
  const started = performance.now();
  const threads = Math.min(2, seeds);
  const shares = Array.from({ length: threads }, (_, index) => ({
    first: first + index,
    step: threads,
    last: first + seeds - 1,
  }));
  const results = await Promise.all(shares.map(runInThread));
  const { sometimesNames } = await loadSimulator();
  const sometimes = new Map(sometimesNames.map((name) => [name, 0]));
  for (const result of results) tally(sometimes, result.sometimes);
  const violations = results.flatMap((result) => result.violations).sort((a, b) => a.seed - b.seed);
  for (const { seed, violation } of violations) {
    console.log(`seed ${seed}: ${violation.split('\n')[0]}`);
    console.log(`  reproduce: npm run simulate -- --seed ${seed} --trace`);
  }
  const never = seeds >= completeBatch ? [...sometimes].filter(([, count]) => count === 0).map(([name]) => name) : [];
  if (never.length > 0) console.log(`never met: ${never.join(', ')}`);
  const seconds = Math.round((performance.now() - started) / 100) / 10;
  console.log(
    JSON.stringify({
      schedules: seeds,
      violations: violations.length,
      seconds,
      sometimes: Object.fromEntries(sometimes),
    }),
  );
  process.exitCode = violations.length > 0 || never.length > 0 ? 1 : 0;
}

/** A positive whole number, or an end with a hint. */
function number(name, text) {
  const value = Number(text);
  if (Number.isSafeInteger(value) && value > 0) return value;
  console.error(`--${name} must be a positive whole number, not ${text}`);
  process.exit(2);
}

if (isMainThread) {
  const { values } = parseArgs({
    options: {
      seeds: { type: 'string', default: '2000' },
      from: { type: 'string', default: '1' },
      seed: { type: 'string' },
      trace: { type: 'boolean', default: false },
    },
  });
  if (values.seed !== undefined) await runOne(number('seed', values.seed), values.trace);
  else await runBatch(number('seeds', values.seeds), number('from', values.from));
} else {
  parentPort.postMessage(await runShare(workerData));
}

/** How long the shell waits for a first result, and what an idle engine holds. Both through the command, as a user starts it. */
import { type ChildProcess, spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { enginePackage } from '../taskmanager/artifact/engine-package.ts';
import { type BenchmarkRow, benchmarkRow, cpuSecondsOf, peakRssMiB } from './row.ts';

/** Time in which an idle engine settles. */
const settleMs = 5000;

function startRun(job: string): ChildProcess {
  const { directory } = enginePackage();
  const args = [join(directory, 'bin/millrace.js'), 'run', join(directory, 'benchmarks/jobs', `${job}.ts`)];
  return spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] });
}

/** Resolves with the first output that satisfies. */
function outputOf(child: ChildProcess, satisfies: (text: string) => boolean): Promise<string> {
  return new Promise((resolve, reject) => {
    let text = '';
    child.stdout?.on('data', (chunk: Buffer) => {
      text += chunk.toString();
      if (satisfies(text)) resolve(text);
    });
    child.once('error', reject);
    child.once('exit', (code) => reject(new Error(`millrace run ended with ${code} before its first result`)));
  });
}

const ended = (child: ChildProcess): Promise<void> => new Promise((resolve) => child.once('exit', () => resolve()));
const firstRecord = (text: string): boolean => text.includes('{"index":0}\n');

export async function firstResultRow(): Promise<BenchmarkRow> {
  const begun = performance.now();
  const child = startRun('trivial');
  await outputOf(child, firstRecord);
  const seconds = (performance.now() - begun) / 1000;
  const resources = { cpuSeconds: cpuSecondsOf(child.pid), peakRssMiB: peakRssMiB(child.pid) };
  await ended(child);
  return benchmarkRow({
    benchmark: 'startup',
    case: 'first result',
    parallelism: 1,
    events: 1,
    seconds,
    ...resources,
    checkpoints: 0,
    checked: true,
  });
}

export async function idleRow(): Promise<BenchmarkRow> {
  const begun = performance.now();
  const child = startRun('silent');
  const exited = ended(child);
  await outputOf(child, firstRecord);
  await new Promise((resolve) => setTimeout(resolve, settleMs));
  const seconds = (performance.now() - begun) / 1000;
  const resources = { cpuSeconds: cpuSecondsOf(child.pid), peakRssMiB: peakRssMiB(child.pid) };
  const idleRssMiB = rssMiB(child.pid as number);
  child.kill('SIGTERM');
  await exited;
  const row = benchmarkRow({
    benchmark: 'startup',
    case: 'idle',
    parallelism: 1,
    events: 1,
    seconds,
    ...resources,
    checkpoints: 0,
    checked: true,
  });
  return { ...row, idleRssMiB };
}

function rssMiB(processId: number): number {
  const match = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${processId}/status`, 'utf8'));
  if (match === null) throw new Error(`no VmRSS in /proc/${processId}/status`);
  return Math.round(Number(match[1]) / 102.4) / 10;
}

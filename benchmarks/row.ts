/**
 * The row of every benchmark, and what it measures of the process. One format for all, so that results of different days
 * and parallelisms stand side by side.
 */
import { readFileSync } from 'node:fs';

export interface BenchmarkRow {
  readonly benchmark: string;
  readonly case: string;
  readonly parallelism: number;
  readonly events: number;
  /** Elapsed. */
  readonly seconds: number;
  /** Processor time of all threads of the process. */
  readonly cpuSeconds: number;
  readonly eventsPerSecond: number;
  readonly eventsPerCoreSecond: number;
  /** High-water mark of resident memory since the process began. */
  readonly peakRssMiB: number;
  readonly checkpoints: number;
  /** The output was compared with what it must be. */
  readonly checked: boolean;
  /** Longest time between two turns of a slot's event loop, in ms. */
  readonly pauseMaxMs?: number;
  /** Events by second of the busiest slot's thread: what an unshared processor would give, without collector and store threads. */
  readonly eventsPerSlotSecond?: number;
  /** Longest time a slot was ready to run but had no processor, in all: how busy the machine was with other things. */
  readonly slotWaitedSeconds?: number;
  /** Memory of a slot's state by key, after a full collection. */
  readonly bytesPerKey?: number;
  /** From scheduled emission to the sink. */
  readonly latencyMs?: { readonly p50: number; readonly p99: number; readonly p999: number; readonly max: number };
  /** Live heap at the end above that after a fifth of the work. */
  readonly heapGrowthMiB?: number;
  /** Resident memory of an idle engine. */
  readonly idleRssMiB?: number;
}

/** What {@link benchmarkRow} derives the rest from. */
export interface BenchmarkResult {
  readonly benchmark: string;
  readonly case: string;
  readonly parallelism: number;
  readonly events: number;
  readonly seconds: number;
  readonly cpuSeconds: number;
  readonly checkpoints: number;
  readonly checked: boolean;
  /** Default: of this process. */
  readonly peakRssMiB?: number;
}

/** Completes a result with its rates and the peak memory of a process. */
export function benchmarkRow(result: BenchmarkResult): BenchmarkRow {
  return {
    ...result,
    eventsPerSecond: Math.round(result.events / result.seconds),
    eventsPerCoreSecond: Math.round(result.events / Math.max(result.cpuSeconds, 0.001)),
    peakRssMiB: result.peakRssMiB ?? peakRssMiB(),
  };
}

/** Clock ticks a second of /proc times; fixed at 100 by the Linux user interface on all supported machines. */
const ticksPerSecond = 100;

/** User and system time of a process and all its threads, in seconds. @param processId default: this process */
export function cpuSecondsOf(processId?: number): number {
  if (processId === undefined) {
    const usage = process.cpuUsage();
    return (usage.user + usage.system) / 1e6;
  }
  const stat = readFileSync(`/proc/${processId}/stat`, 'utf8');
  // The name of the program may contain anything, so fields are counted from its closing parenthesis.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return (Number(fields[11]) + Number(fields[12])) / ticksPerSecond;
}

/** VmHWM of a process in MiB. @param processId default: this process */
export function peakRssMiB(processId?: number): number {
  const status = readFileSync(`/proc/${processId ?? 'self'}/status`, 'utf8');
  const match = /^VmHWM:\s+(\d+) kB$/m.exec(status);
  if (match === null) throw new Error(`no VmHWM in /proc/${processId ?? 'self'}/status`);
  return Math.round(Number(match[1]) / 102.4) / 10;
}

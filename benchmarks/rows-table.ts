/** Benchmark rows as a table for people. */
import Table from 'cli-table3';
import type { BenchmarkRow } from './row.ts';

const rate = (value: number): string => (value >= 100_000 ? `${(value / 1e6).toFixed(2)} M` : String(Math.round(value)));
const tenth = (value: number): string => String(Math.round(value * 10) / 10);

export function rowsTable(rows: readonly BenchmarkRow[]): string {
  const table = new Table({
    head: ['benchmark', 'case', 'p', 'events', 's', 'cpu s', 'events/s', 'events/core s', 'peak MiB', 'checkpoints', 'checked', 'more'],
    style: { head: [], border: [] },
  });
  for (const row of rows) {
    table.push([
      row.benchmark,
      row.case,
      row.parallelism,
      rate(row.events),
      row.seconds.toFixed(2),
      row.cpuSeconds.toFixed(2),
      rate(row.eventsPerSecond),
      rate(row.eventsPerCoreSecond),
      tenth(row.peakRssMiB),
      row.checkpoints,
      row.checked ? 'yes' : 'no',
      more(row),
    ]);
  }
  return table.toString();
}

function more(row: BenchmarkRow): string {
  const parts: string[] = [];
  if (row.eventsPerSlotSecond !== undefined) parts.push(`${rate(row.eventsPerSlotSecond)}/slot s`, `waited ${row.slotWaitedSeconds} s`);
  if (row.bytesPerKey !== undefined) parts.push(`${row.bytesPerKey} bytes a key`);
  if (row.idleRssMiB !== undefined) parts.push(`${row.idleRssMiB} MiB idle`);
  if (row.latencyMs !== undefined) {
    const { p50, p99, p999, max } = row.latencyMs;
    parts.push(`p50 ${tenth(p50)} p99 ${tenth(p99)} p99.9 ${tenth(p999)} max ${tenth(max)} ms`);
  }
  if (row.pauseMaxMs !== undefined) parts.push(`pause ${row.pauseMaxMs} ms`);
  return parts.join(', ');
}

/** Benchmark rows as a table for people. */
import type { BenchmarkRow } from './row.ts';

const rate = (value: number): string =>
  value >= 100_000 ? `${(value / 1e6).toFixed(2)} M` : String(Math.round(value));
const tenth = (value: number): string => String(Math.round(value * 10) / 10);

const head = [
  'benchmark',
  'case',
  'p',
  'events',
  's',
  'cpu s',
  'events/s',
  'events/core s',
  'peak MiB',
  'checkpoints',
  'checked',
  'more',
];
/** Columns of text; the others are numbers. */
const leftColumns = 2;

export function rowsTable(rows: readonly BenchmarkRow[]): string {
  const lines: string[][] = [head];
  for (const row of rows) {
    lines.push([
      row.benchmark,
      row.case,
      String(row.parallelism),
      rate(row.events),
      row.seconds.toFixed(2),
      row.cpuSeconds.toFixed(2),
      rate(row.eventsPerSecond),
      rate(row.eventsPerCoreSecond),
      tenth(row.peakRssMiB),
      String(row.checkpoints),
      row.checked ? 'yes' : 'no',
      more(row),
    ]);
  }
  const widths = head.map((_, column) => Math.max(...lines.map((cells) => cells[column]?.length ?? 0)));
  const text = lines.map((cells) =>
    cells.map((cell, column) =>
      column < leftColumns || column === head.length - 1
        ? cell.padEnd(widths[column] as number)
        : cell.padStart(widths[column] as number),
    ),
  );
  return text.map((cells) => cells.join('  ').trimEnd()).join('\n');
}

function more(row: BenchmarkRow): string {
  const parts: string[] = [];
  if (row.eventsPerSlotSecond !== undefined)
    parts.push(`${rate(row.eventsPerSlotSecond)}/slot s`, `waited ${row.slotWaitedSeconds} s`);
  if (row.bytesPerKey !== undefined) parts.push(`${row.bytesPerKey} bytes a key`);
  if (row.heapGrowthMiB !== undefined) parts.push(`heap grew by ${row.heapGrowthMiB} MiB`);
  if (row.idleRssMiB !== undefined) parts.push(`${row.idleRssMiB} MiB idle`);
  if (row.latencyMs !== undefined) {
    const { p50, p99, p999, max } = row.latencyMs;
    parts.push(`p50 ${tenth(p50)} p99 ${tenth(p99)} p99.9 ${tenth(p999)} max ${tenth(max)} ms`);
  }
  if (row.pauseMaxMs !== undefined) parts.push(`pause ${row.pauseMaxMs} ms`);
  return parts.join(', ');
}

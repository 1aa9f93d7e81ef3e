import { afterEach, expect, test } from 'vitest';
import type { AttemptMetrics, SubtaskMetrics } from '../../proto/messages.ts';
import type { MetricName } from '../../operations/metrics/metric-definitions.ts';
import { TaskManagerHttp } from './task-manager-http.ts';
import { subtaskSeriesMax, TaskManagerMetrics, userCountersMax } from './task-manager-metrics.ts';

const subtaskOf = (subtaskIndex: number, more: Partial<SubtaskMetrics> = {}): SubtaskMetrics => {
  return {
    subtask: { vertexId: 'map', subtaskIndex },
    recordsIn: 10,
    recordsOut: 9,
    bytesIn: 100,
    bytesOut: 90,
    lateRecords: 1,
    watermarkMs: 4_000,
    busyMs: 0,
    idleMs: 0,
    backPressuredMs: 0,
    counters: {},
    ...more,
  };
};

const attemptOf = (attempt: number, metrics: readonly SubtaskMetrics[], jobId = 'job'): AttemptMetrics => {
  return { attempt: { jobId, attempt, leaderEpoch: 1 }, metrics };
};

function collected(metrics: TaskManagerMetrics, attempts: readonly AttemptMetrics[]): string[] {
  const found: string[] = [];
  metrics.collect({ attempts, slotsRunning: 2 }, 5_000, (name: MetricName, labels, value) => {
    found.push([name, ...Object.values(labels), value].join(' '));
  });
  return found;
}

test('metrics tell counts and the lag of the watermark of each subtask', () => {
  const found = collected(new TaskManagerMetrics(), [attemptOf(1, [subtaskOf(0, { counters: { odd: 4 } })])]);
  expect(found).toEqual([
    'millrace_slots_running 2',
    'millrace_subtask_series_dropped 0',
    'millrace_records_in_total job map 0 10',
    'millrace_records_out_total job map 0 9',
    'millrace_bytes_in_total job map 0 100',
    'millrace_bytes_out_total job map 0 90',
    'millrace_late_records_total job map 0 1',
    'millrace_user_counter_total job map 0 odd 4',
    'millrace_watermark_ms job map 0 4000',
    'millrace_watermark_lag_ms job map 0 1000',
  ]);
});

const shares = (found: readonly string[]): string[] => found.filter((line) => line.includes('per_second'));

test('shares of time add up to the second when two samples were taken', () => {
  const metrics = new TaskManagerMetrics();
  const before = [attemptOf(1, [subtaskOf(0, { busyMs: 100, idleMs: 100, backPressuredMs: 100 })])];
  const after = [attemptOf(1, [subtaskOf(0, { busyMs: 600, idleMs: 350, backPressuredMs: 350 })])];
  metrics.sample({ attempts: before, slotsRunning: 1 }, 1_000);
  expect(shares(collected(metrics, before))).toEqual([]);
  metrics.sample({ attempts: after, slotsRunning: 1 }, 2_000);
  const wanted = [
    'millrace_busy_ms_per_second job map 0 500',
    'millrace_back_pressured_ms_per_second job map 0 250',
    'millrace_idle_ms_per_second job map 0 250',
  ];
  expect(shares(collected(metrics, after))).toEqual(wanted);
  // Another scrape takes nothing from the first.
  expect(shares(collected(metrics, after))).toEqual(wanted);
});

test('a subtask that was heard of no more between two samples counts as idle', () => {
  const metrics = new TaskManagerMetrics();
  const attempts = [attemptOf(1, [subtaskOf(0, { busyMs: 100 })])];
  metrics.sample({ attempts, slotsRunning: 1 }, 1_000);
  metrics.sample({ attempts, slotsRunning: 1 }, 2_000);
  expect(shares(collected(metrics, attempts))).toContain('millrace_idle_ms_per_second job map 0 1000');
});

test('metrics of the newest attempt are told when an older one still ends', () => {
  const attempts = [attemptOf(2, [subtaskOf(0, { recordsIn: 2 })]), attemptOf(1, [subtaskOf(0, { recordsIn: 1 })])];
  const found = collected(new TaskManagerMetrics(), attempts).filter((line) => line.includes('records_in'));
  expect(found).toEqual(['millrace_records_in_total job map 0 2']);
});

test('series are bounded and what is left out is told when there are too many subtasks or counters', () => {
  const counters = Object.fromEntries(Array.from({ length: userCountersMax + 5 }, (_, index) => [`c${index}`, 1]));
  const many = Array.from({ length: subtaskSeriesMax + 3 }, (_, index) =>
    subtaskOf(index, index === 0 ? { counters } : {}),
  );
  const found = collected(new TaskManagerMetrics(), [attemptOf(1, many)]);
  expect(found).toContain('millrace_subtask_series_dropped 3');
  expect(found.filter((line) => line.startsWith('millrace_records_in_total'))).toHaveLength(subtaskSeriesMax);
  expect(found.filter((line) => line.startsWith('millrace_user_counter_total'))).toHaveLength(userCountersMax);
});

let http: TaskManagerHttp | null = null;
afterEach(async () => {
  await http?.stop();
  http = null;
});

test('a task manager answers health, readiness and metrics, and nothing else', async () => {
  let follows = false;
  http = await TaskManagerHttp.start({
    host: '127.0.0.1',
    port: 0,
    tls: null,
    authorize: () => undefined,
    logger: { warn: () => undefined },
    figures: () => ({ attempts: [attemptOf(1, [subtaskOf(3)])], slotsRunning: 1 }),
    ready: () => follows,
  });
  const { address } = http;
  const get = (path: string): Promise<Response> => fetch(`http://${address}${path}`);
  expect((await get('/health')).status).toBe(200);
  expect((await get('/ready')).status).toBe(503);
  follows = true;
  expect((await get('/ready')).status).toBe(200);
  expect(await (await get('/metrics')).text()).toContain(
    'millrace_records_in_total{job="job",vertex="map",subtask="3"} 10\n',
  );
  expect((await get('/api/v1/jobs')).status).toBe(404);
});

import { readFileSync } from 'node:fs';
import { afterEach, expect, test } from 'vitest';
import { type MetricName, metricDefinitions } from './metric-definitions.ts';
import { MetricsRegistry, type MetricSink } from './metrics-registry.ts';

let registry: MetricsRegistry | null = null;
afterEach(() => registry?.stop());

function textOf(process: 'job manager' | 'task manager', collect: (sink: MetricSink) => void): Promise<string> {
  registry = new MetricsRegistry({ process, collect });
  return registry.text();
}

test('a scrape tells the values of that moment and nothing of metrics nobody told', async () => {
  const text = await textOf('task manager', (sink) => {
    sink('millrace_records_in_total', { job: 'a"b', vertex: 'v', subtask: '0' }, 5);
    sink('millrace_watermark_ms', { job: 'a', vertex: 'v', subtask: '0' }, Number.NEGATIVE_INFINITY);
  });
  expect(text).toContain('# TYPE millrace_records_in_total counter\n');
  expect(text).toContain('millrace_records_in_total{job="a\\"b",vertex="v",subtask="0"} 5\n');
  expect(text).not.toMatch(/^millrace_watermark_ms\{/m);
  expect(text).not.toMatch(/^millrace_slots_running /m);
  expect(text).toMatch(/^millrace_process_resident_bytes \d+$/m);
});

test('a scrape has the metrics of its kind of process only', async () => {
  const text = await textOf('job manager', () => undefined);
  expect(text).toContain('# TYPE millrace_leader gauge');
  expect(text).not.toContain('millrace_records_in_total');
});

test('a series is gone when nobody tells it any more', async () => {
  let jobs = ['one', 'two'];
  await textOf('job manager', (sink) => {
    for (const job of jobs) sink('millrace_job_restarts_total', { job }, 1);
  });
  jobs = ['two'];
  const text = await (registry as MetricsRegistry).text();
  expect(text).toContain('millrace_job_restarts_total{job="two"} 1');
  expect(text).not.toContain('job="one"');
});

test('the page of metrics names every metric with its unit, kind and labels, and no other', () => {
  const page = readFileSync(new URL('../../docs/operations/metrics.md', import.meta.url), 'utf8');
  const rows = page.split('\n').filter((line) => line.startsWith('| `millrace_'));
  const wanted = (Object.keys(metricDefinitions) as MetricName[]).map((name) => {
    const { kind, unit, labels, process, help } = metricDefinitions[name];
    return `| \`${name}\` | ${kind} | ${unit} | ${labels.join(', ')} | ${process} | ${help} |`;
  });
  expect(rows).toEqual(wanted);
});

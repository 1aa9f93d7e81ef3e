/**
 * Metrics as Prometheus reads them. Nothing is counted here: a scrape asks for the values of that moment, so the record path
 * pays nothing, and a series is gone as soon as nobody tells it any more. Own registry: what else a process has loaded
 * must not show up in it.
 */
import { type IntervalHistogram, monitorEventLoopDelay } from 'node:perf_hooks';
import { Counter, Gauge, Registry } from 'prom-client';
import { type MetricDefinition, type MetricName, metricDefinitions } from './metric-definitions.ts';

/** Takes the values of one scrape. A number that is none (NaN, infinite) leaves its series out. */
export type MetricSink = (name: MetricName, labels: Readonly<Record<string, string>>, value: number) => void;

export interface MetricsRegistryOptions {
  readonly process: 'job manager' | 'task manager';
  /** It was told to listen without protection. Default: no. */
  readonly insecure?: boolean;
  /** Called by every scrape. */
  collect(sink: MetricSink): void;
}

/** Accuracy of the delay of the event loop, in ms. */
const delayResolutionMs = 10;
const nanosecondsPerMs = 1e6;

export class MetricsRegistry {
  readonly contentType: string = Registry.PROMETHEUS_CONTENT_TYPE;
  readonly #options: MetricsRegistryOptions;
  readonly #delay: IntervalHistogram;

  constructor(options: MetricsRegistryOptions) {
    this.#options = options;
    this.#delay = monitorEventLoopDelay({ resolution: delayResolutionMs });
    this.#delay.enable();
  }

  /** The text of a scrape. */
  async text(): Promise<string> {
    const registry = new Registry();
    const metrics = new Map<string, Gauge | Counter>();
    const mine: readonly MetricDefinition[] = Object.values(metricDefinitions).filter(
      ({ process }) => process === 'both' || process === this.#options.process,
    );
    for (const { name, kind, help, unit, labels } of mine) {
      const config = { name, help: `${help} Unit: ${unit}.`, labelNames: [...labels], registers: [registry] };
      metrics.set(name, kind === 'gauge' ? new Gauge(config) : new Counter(config));
      // Without labels a metric would be there with 0 before anybody has told it.
      if (labels.length === 0) metrics.get(name)?.remove();
    }
    const sink: MetricSink = (name, labels, value) => {
      if (Number.isFinite(value)) metrics.get(name)?.inc({ ...labels }, value);
    };
    this.#collectProcess(sink);
    this.#options.collect(sink);
    return await registry.metrics();
  }

  stop(): void {
    this.#delay.disable();
  }

  #collectProcess(sink: MetricSink): void {
    const delay = (quantile: string, value: number): void =>
      sink('millrace_event_loop_delay_ms', { quantile }, Math.max(0, value / nanosecondsPerMs - delayResolutionMs));
    if (this.#delay.count > 0) {
      delay('0.5', this.#delay.percentile(50));
      delay('0.99', this.#delay.percentile(99));
      delay('1', this.#delay.max);
    }
    this.#delay.reset();
    const { rss, heapUsed } = process.memoryUsage();
    sink('millrace_process_resident_bytes', {}, rss);
    sink('millrace_process_heap_used_bytes', {}, heapUsed);
    sink('millrace_process_uptime_seconds', {}, Math.round(process.uptime()));
    sink('millrace_insecure', {}, this.#options.insecure === true ? 1 : 0);
  }
}

/** The HTTP listener of a task manager: health and metrics, nothing else. */
import type { TlsMaterialSource } from '../../core/tls-material.ts';
import { HttpServer } from '../../operations/http/http-server.ts';
import type { AuthorizeRoute, Route } from '../../operations/http/http-types.ts';
import { processRoutes, type ProcessRoutesOptions } from '../../operations/http/process-routes.ts';
import { MetricsRegistry } from '../../operations/metrics/metrics-registry.ts';
import { sampleIntervalMs, type TaskManagerFigures, TaskManagerMetrics } from './task-manager-metrics.ts';

export interface TaskManagerHttpOptions {
  readonly host: string;
  /** 0: any free one. */
  readonly port: number;
  readonly tls: TlsMaterialSource | null;
  readonly insecure?: boolean;
  readonly allowedHosts?: readonly string[];
  readonly authorize: AuthorizeRoute;
  readonly logger: { warn(message: string): void };
  /** What its slots said last. */
  readonly figures: () => TaskManagerFigures;
  /** Whether it follows a leader. */
  readonly ready: () => boolean;
}

/** All routes of a task manager. */
export function taskManagerRoutes(options: ProcessRoutesOptions): readonly Route[] {
  return processRoutes(options);
}

export class TaskManagerHttp {
  /** `host:port` it listens on. */
  readonly address: string;
  readonly #server: HttpServer;
  readonly #registry: MetricsRegistry;
  readonly #timer: NodeJS.Timeout;

  private constructor(server: HttpServer, registry: MetricsRegistry, timer: NodeJS.Timeout) {
    this.address = server.address;
    this.#server = server;
    this.#registry = registry;
    this.#timer = timer;
  }

  /** @throws EngineError PORT_IN_USE, CONFIG_INVALID */
  static async start(options: TaskManagerHttpOptions): Promise<TaskManagerHttp> {
    const { figures, ready } = options;
    const metrics = new TaskManagerMetrics();
    const registry = new MetricsRegistry({
      process: 'task manager',
      insecure: options.insecure === true,
      collect: (sink) => metrics.collect(figures(), Date.now(), sink),
    });
    const timer = setInterval(() => metrics.sample(figures(), performance.now()), sampleIntervalMs);
    timer.unref();
    try {
      const server = await HttpServer.start({ ...options, routes: taskManagerRoutes({ ready, metrics: registry }) });
      return new TaskManagerHttp(server, registry, timer);
    } catch (error) {
      clearInterval(timer);
      registry.stop();
      throw error;
    }
  }

  async stop(): Promise<void> {
    clearInterval(this.#timer);
    this.#registry.stop();
    await this.#server.stop();
  }
}

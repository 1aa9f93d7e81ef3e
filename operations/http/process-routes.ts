/** Routes that every process has: whether it lives, whether it can work, its metrics. */
import { jsonAnswer, type Route, type RouteRole } from './http-types.ts';

export interface ProcessRoutesOptions {
  /** Of a job manager: it leads, or knows who does. Of a task manager: it follows a leader. */
  readonly ready: () => boolean;
  readonly metrics: { readonly contentType: string; text(): Promise<string> };
}

/** Health and metrics, of any process. */
export function processRoutes({ ready, metrics }: ProcessRoutesOptions): readonly Route[] {
  const route = (
    path: string,
    role: RouteRole,
    summary: string,
    answer: string | null,
    handle: Route['handle'],
  ): Route => ({ path, role, summary, answer, handle });
  return [
    route('/health', 'public', 'The process lives.', 'Health', () => jsonAnswer({ status: 'ok' })),
    route('/ready', 'public', 'The process can do its work; 503 when not.', 'Health', () =>
      ready() ? jsonAnswer({ status: 'ready' }) : jsonAnswer({ status: 'not-ready' }, 503),
    ),
    route('/metrics', 'viewer', 'Metrics for Prometheus.', null, async () => {
      return { status: 200, contentType: metrics.contentType, body: await metrics.text() };
    }),
  ];
}

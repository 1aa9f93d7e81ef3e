/** A connector context for tests of connectors: records what is counted, logged and delivered, and touches nothing else. */
import { type ConnectorContext, type PlainData, Secret } from '../../core/connector/index.ts';

export interface Delivery {
  readonly channel: string;
  readonly id: string;
  readonly values: readonly PlainData[];
}

export interface RecordedContext extends ConnectorContext {
  readonly counts: Map<string, number>;
  readonly warnings: string[];
  readonly deliveries: Delivery[];
}

export type ContextOverrides = Partial<
  Pick<
    ConnectorContext,
    'jobName' | 'operatorId' | 'subtaskIndex' | 'parallelism' | 'attempt' | 'workingDirectory' | 'signal'
  >
>;

/** A context of attempt 1 of a job `test`, with one subtask, unless `overrides` says otherwise. */
export function recordedContext(overrides: ContextOverrides = {}): RecordedContext {
  const counts = new Map<string, number>();
  const warnings: string[] = [];
  const deliveries: Delivery[] = [];
  return {
    jobName: 'test',
    operatorId: 'operator',
    subtaskIndex: 0,
    parallelism: 1,
    attempt: 1,
    workingDirectory: process.cwd(),
    signal: new AbortController().signal,
    ...overrides,
    counts,
    warnings,
    deliveries,
    secret: (text) => new Secret(text),
    logger: { info: () => undefined, warn: (message) => void warnings.push(message) },
    count: (name, amount) => void counts.set(name, (counts.get(name) ?? 0) + amount),
    deliver: (channel, id, values) => {
      if (!deliveries.some((delivery) => delivery.id === id && delivery.channel === channel))
        deliveries.push({ channel, id, values });
    },
  };
}

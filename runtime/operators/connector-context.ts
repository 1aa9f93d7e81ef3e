/** What an operator passes on to its connector. */
import type { ConnectorContext } from '../../core/connector/index.ts';
import type { AnyOperatorContext } from './operator.ts';
import { countMetric } from './user-code.ts';

export function connectorContext(context: AnyOperatorContext): ConnectorContext {
  return {
    jobName: context.jobName,
    operatorId: context.node.id,
    subtaskIndex: context.subtaskIndex,
    parallelism: context.parallelism,
    attempt: context.attempt,
    workingDirectory: context.workingDirectory,
    logger: {
      info: (message, ids) => context.log('info', withIds(message, ids)),
      warn: (message, ids) => context.log('warn', withIds(message, ids)),
    },
    signal: context.signal,
    count: (name, amount) => countMetric(context, name, amount),
    deliver: (channel, id, values) => context.deliver(channel, id, values),
  };
}

function withIds(message: string, ids: Record<string, string | number> | undefined): string {
  if (ids === undefined) return message;
  return `${message} (${Object.entries(ids)
    .map(([name, value]) => `${name} ${value}`)
    .join(', ')})`;
}

/** What an operator passes on to its connector. */
import type { ConnectorContext } from '../../core/connector/index.ts';
import { resolveSecrets } from '../../core/security/secret.ts';
import { committerSuffix } from '../../core/ids.ts';
import type { AnyOperatorContext } from './operator.ts';
import { countMetric } from './user-code.ts';

export function connectorContext(context: AnyOperatorContext): ConnectorContext {
  return {
    jobName: context.jobName,
    operatorId: connectorId(context),
    subtaskIndex: context.subtaskIndex,
    parallelism: context.parallelism,
    attempt: context.attempt,
    workingDirectory: context.workingDirectory,
    logger: {
      info: (message, ids) => context.log('info', withIds(message, ids)),
      warn: (message, ids) => context.log('warn', withIds(message, ids)),
    },
    secret: (text) => resolveSecrets(text, context.secretOf),
    signal: context.signal,
    count: (name, amount) => countMetric(context, name, amount),
    deliver: (channel, id, values) => context.deliver(channel, id, values),
  };
}

/** Writer and committer of a sink go by one id, that of the sink: each must know the other's files by their names. */
function connectorId({ node }: AnyOperatorContext): string {
  return node.kind === 'sink-committer' && node.id.endsWith(committerSuffix)
    ? node.id.slice(0, -committerSuffix.length)
    : node.id;
}

function withIds(message: string, ids: Record<string, string | number> | undefined): string {
  if (ids === undefined) return message;
  return `${message} (${Object.entries(ids)
    .map(([name, value]) => `${name} ${value}`)
    .join(', ')})`;
}

/** Sources and sinks for planning tests: planning looks at kind, options and boundedness and never opens one. */
import type { JsonObject, Sink, Source } from '../core/connector/index.ts';

const notOpened = (): never => {
  throw new Error('a planning test opened a connector');
};

/** A source that can be planned and not run. */
export function testSource<T>(
  options: { kind?: string; options?: JsonObject; boundedness?: 'bounded' | 'unbounded' } = {},
): Source<T> {
  return {
    type: 'source',
    kind: options.kind ?? 'test',
    options: options.options ?? {},
    boundedness: options.boundedness ?? 'bounded',
    openSplitsMax: 1,
    splitId: notOpened,
    createPlanner: notOpened,
    createReader: notOpened,
  };
}

/** A sink that can be planned and not run. */
export function testSink<T>(options: { kind?: string; options?: JsonObject; commits?: boolean } = {}): Sink<T> {
  return {
    type: 'sink',
    kind: options.kind ?? 'test',
    options: options.options ?? {},
    createWriter: notOpened,
    createCommitter: options.commits === true ? notOpened : null,
    destination: null,
    occupation: () => Promise.resolve(null),
  };
}

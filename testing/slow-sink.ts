/**
 * A sink that takes a number of records and then has no room until the event loop has turned: what a slow outside system
 * looks like to the engine. For tests of back pressure.
 */
import type { Sink, SinkWriter } from '../core/connector/index.ts';

export interface SlowSink<T> {
  readonly sink: Sink<T>;
  /** Records written so far, over all writers. */
  readonly written: () => number;
}

/**
 * @param takenAtOnce records between two pauses
 * @param onWrite     called with each record
 */
export function slowSink<T>(takenAtOnce: number, onWrite: (value: T) => void = () => {}): SlowSink<T> {
  let written = 0;
  const createWriter = (): SinkWriter<T> => {
    let room = takenAtOnce;
    return {
      open: () => Promise.resolve(),
      write(value) {
        written++;
        room--;
        onWrite(value);
      },
      get hasRoom() {
        return room > 0;
      },
      drained: () =>
        new Promise((resolve) => {
          setImmediate(() => {
            room = takenAtOnce;
            resolve();
          });
        }),
      prepareCommit: () => Promise.resolve({ committables: [], state: [] }),
      close: () => Promise.resolve(),
    };
  };
  const sink: Sink<T> = {
    type: 'sink',
    kind: 'slow',
    options: { takenAtOnce },
    createWriter,
    createCommitter: null,
    destination: null,
    occupation: () => Promise.resolve(null),
  };
  return { sink, written: () => written };
}

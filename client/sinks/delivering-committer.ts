/** Commits what `collect` gathered by handing it to the client that waits for the job. */
import type { Committable, ConnectorContext, PlainData, SinkCommitter } from '../../core/connector/index.ts';

export class DeliveringCommitter implements SinkCommitter {
  readonly #name: string;
  readonly #context: ConnectorContext;
  readonly #idPrefix: string;

  /** @param idPrefix how the ids of the deliveries begin */
  constructor(name: string, context: ConnectorContext, idPrefix: string) {
    this.#name = name;
    this.#context = context;
    this.#idPrefix = idPrefix;
  }

  open(): Promise<void> {
    return Promise.resolve();
  }

  commit(committables: readonly Committable[]): Promise<void> {
    for (const { checkpointId, subtaskIndex, data } of committables) {
      const { values } = data as { values: readonly PlainData[] };
      // One committable per writer and checkpoint, and checkpoint ids are never reused: this pair is the identity.
      this.#context.deliver(this.#name, `${this.#idPrefix}${checkpointId}-${subtaskIndex}`, values);
    }
    return Promise.resolve();
  }

  close(): Promise<void> {
    return Promise.resolve();
  }
}

/**
 * Channels between the slots of a test. Every record that crosses is encoded and decoded, as it would be on its way to another
 * machine, so what a cluster refuses (functions, class instances) is refused here too.
 */
import { decodeValue, encodeValueToBytes } from '../../core/codec/value-codec.ts';
import { EngineError, isEngineError } from '../../core/errors.ts';
import type { StreamElement } from '../../core/stream/batch.ts';
import type { RemoteChannels } from '../../runtime/slot/channels.ts';
import { LocalChannel } from '../../runtime/exchange/local-channel.ts';

interface Entry {
  readonly channel: LocalChannel;
  onReadable: () => void;
  onWritable: () => void;
}

/** All channels between slots of one attempt, by their id, which is unique in the job. */
export class MemoryExchange implements RemoteChannels {
  readonly #entries = new Map<number, Entry>();

  writer(_peerSlot: number, channelId: number, operatorName: string, onWritable: () => void) {
    const entry = this.#entry(channelId);
    entry.onWritable = onWritable;
    return {
      write: (element: StreamElement) => entry.channel.write(copyOf(element, operatorName)),
      get hasRoom() {
        return entry.channel.hasRoom;
      },
    };
  }

  reader(_peerSlot: number, channelId: number, onReadable: () => void): LocalChannel {
    const entry = this.#entry(channelId);
    entry.onReadable = onReadable;
    return entry.channel;
  }

  #entry(id: number): Entry {
    const known = this.#entries.get(id);
    if (known !== undefined) return known;
    const entry: Entry = {
      channel: new LocalChannel({ onReadable: () => entry.onReadable(), onWritable: () => entry.onWritable() }),
      onReadable: () => {},
      onWritable: () => {},
    };
    this.#entries.set(id, entry);
    return entry;
  }
}

function copyOf(element: StreamElement, operator: string): StreamElement {
  if (element.kind !== 'batch') return element;
  const { batch } = element;
  return { kind: 'batch', batch: { ...batch, values: batch.values.map((value) => copyOfValue(value, operator)) } };
}

function copyOfValue(value: unknown, operator: string): unknown {
  if (typeof value !== 'object' || value === null) return value;
  try {
    return decodeValue(encodeValueToBytes(value));
  } catch (error) {
    if (!isEngineError(error)) throw error;
    const message = `operator '${operator}' emits a record that cannot be sent to another machine: ${error.message}`;
    throw new EngineError(error.code, message, { ids: { ...error.ids, operator }, cause: error });
  }
}

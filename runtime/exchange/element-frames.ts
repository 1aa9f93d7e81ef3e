/** Payloads of the stream elements that are not batches, and of credit. Exact lengths, so anything else is refused. */
import { EngineError } from '../../core/errors.ts';
import type { StreamElement } from '../../core/stream/batch.ts';
import { type FrameKind, frameKind, protocolError } from './frame.ts';

const noBytes = new Uint8Array(0);

/** An element that is not a batch. It costs no credit. */
export type ControlElement = Exclude<StreamElement, { kind: 'batch' }>;

export function controlFrameKind(element: ControlElement): FrameKind {
  return frameKind[element.kind];
}

export function encodeControl(element: ControlElement): Uint8Array {
  switch (element.kind) {
    case 'barrier': {
      const bytes = new Uint8Array(16);
      const view = new DataView(bytes.buffer);
      view.setFloat64(0, element.barrier.checkpointId, true);
      view.setFloat64(8, element.barrier.triggeredAtMs, true);
      return bytes;
    }
    case 'idle':
      return Uint8Array.of(element.idle ? 1 : 0);
    case 'end':
      return noBytes;
  }
}

/** @throws EngineError PROTOCOL when the payload is not one of `kind` */
export function decodeControl(kind: FrameKind, payload: Uint8Array): ControlElement {
  const view = new DataView(payload.buffer, payload.byteOffset, payload.length);
  if (kind === frameKind.barrier && payload.length === 16) {
    const checkpointId = view.getFloat64(0, true);
    if (!Number.isSafeInteger(checkpointId)) throw protocolError(`a barrier of checkpoint ${checkpointId} came`);
    return { kind: 'barrier', barrier: { checkpointId, triggeredAtMs: view.getFloat64(8, true) } };
  }
  const flag = payload[0];
  if (kind === frameKind.idle && payload.length === 1 && (flag === 0 || flag === 1))
    return { kind: 'idle', idle: flag === 1 };
  if (kind === frameKind.end && payload.length === 0) return { kind: 'end' };
  throw protocolError(`a frame of kind ${kind} with ${payload.length} bytes came, which is no stream element`);
}

export function encodeCredit(bytes: number): Uint8Array {
  const payload = new Uint8Array(8);
  new DataView(payload.buffer).setFloat64(0, bytes, true);
  return payload;
}

/** @throws EngineError PROTOCOL */
export function decodeCredit(payload: Uint8Array): number {
  const bytes =
    payload.length === 8 ? new DataView(payload.buffer, payload.byteOffset, 8).getFloat64(0, true) : Number.NaN;
  if (!Number.isSafeInteger(bytes))
    throw new EngineError('PROTOCOL', 'a credit frame is malformed', { domain: 'external', retry: 'backoff' });
  return bytes;
}

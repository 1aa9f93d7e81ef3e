/** What happens to text that is not a record: the job fails, the text is skipped and counted, or it goes to a dead-letter file. */
import { isUtf8 } from 'node:buffer';
import { closeSync, fsyncSync, mkdirSync, openSync, writeSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { EngineError } from '../../../core/connector/index.ts';
import type { ConnectorContext } from '../../../core/connector/index.ts';
import { storageError } from '../storage-error.ts';

/** `fail` (default), `skip`, or a file that takes the text with its place and the reason. */
export type OnMalformed = 'fail' | 'skip' | { readonly deadLetterFile: string };

export interface MalformedPlace {
  readonly path: string;
  /** 1-based. */
  readonly line: number;
  /** Offset of the first byte, uncompressed. */
  readonly byteOffset: number;
}

const shownBytesMax = 120;

/**
 * Refuses what is no policy where the job is defined; without types a misspelt option would be found at the first bad line.
 * @throws EngineError JOB_INVALID
 */
export function checkOnMalformed(kind: string, policy: unknown): void {
  if (policy === 'fail' || policy === 'skip') return;
  const file =
    typeof policy === 'object' && policy !== null && 'deadLetterFile' in policy ? policy.deadLetterFile : null;
  if (typeof file === 'string' && file !== '') return;
  throw new EngineError(
    'JOB_INVALID',
    `${kind}: onMalformed is ${JSON.stringify(policy) ?? String(policy)} → write 'fail', 'skip' or { deadLetterFile: 'rejected.jsonl' }`,
  );
}

/** The error of `onMalformed: 'fail'`. */
export function malformedError(place: MalformedPlace, reason: string, bytes: Buffer): EngineError {
  const shown = bytes.toString('utf8', 0, shownBytesMax);
  const text = bytes.length > shownBytesMax ? `${shown} …` : shown;
  return new EngineError(
    'INPUT_MALFORMED',
    `${place.path}, line ${place.line} (byte ${place.byteOffset}): ${reason}. The text is: ${text} → correct the line, or choose onMalformed: 'skip' or onMalformed: { deadLetterFile: 'rejected.jsonl' } in the source`,
    { ids: { path: place.path, line: place.line, byteOffset: place.byteOffset } },
  );
}

/**
 * Appends rejected text to a file as JSON lines. Delivery is at least once: after a recovery the records since the last checkpoint
 * are read again, and their dead letters written again; `file` and `byteOffset` name a dead letter, so readers can tell. Written
 * with synchronous calls, because a dead letter must be on disk before a checkpoint lies behind it, and they are rare.
 */
export class DeadLetterFile {
  readonly #path: string;
  #descriptor: number | null = null;
  #pending = '';
  #unsynced = false;

  constructor(path: string, workingDirectory: string) {
    this.#path = resolve(workingDirectory, path);
  }

  add(place: MalformedPlace, reason: string, bytes: Buffer): void {
    const raw = isUtf8(bytes) ? { raw: bytes.toString('utf8') } : { rawBase64: bytes.toString('base64') };
    const { path: file, line, byteOffset } = place;
    this.#pending += `${JSON.stringify({ file, line, byteOffset, reason, ...raw })}\n`;
  }

  /** Writes what was added. One call appends whole lines, so several readers can share the file. */
  flush(): void {
    if (this.#pending.length === 0) return;
    try {
      this.#descriptor ??= this.#open();
      const bytes = Buffer.from(this.#pending, 'utf8');
      let written = 0;
      while (written < bytes.length) written += writeSync(this.#descriptor, bytes, written);
    } catch (error) {
      throw storageError('writing dead letters to', this.#path, error);
    }
    this.#pending = '';
    this.#unsynced = true;
  }

  /** Makes what was flushed durable. */
  sync(): void {
    if (!this.#unsynced || this.#descriptor === null) return;
    try {
      fsyncSync(this.#descriptor);
    } catch (error) {
      throw storageError('syncing', this.#path, error);
    }
    this.#unsynced = false;
  }

  close(): void {
    if (this.#descriptor !== null) closeSync(this.#descriptor);
    this.#descriptor = null;
  }

  #open(): number {
    mkdirSync(dirname(this.#path), { recursive: true });
    return openSync(this.#path, 'a');
  }
}

/** Applies a policy for one open split. */
export class MalformedHandler {
  readonly #policy: OnMalformed;
  readonly #context: ConnectorContext;
  readonly #deadLetters: DeadLetterFile | null;

  constructor(policy: OnMalformed, context: ConnectorContext) {
    this.#policy = policy;
    this.#context = context;
    this.#deadLetters =
      typeof policy === 'object' ? new DeadLetterFile(policy.deadLetterFile, context.workingDirectory) : null;
  }

  /** Whether reading ends at malformed text. */
  get fails(): boolean {
    return this.#policy === 'fail';
  }

  handle(place: MalformedPlace, reason: string, bytes: Buffer): void {
    this.#context.count('malformedRecords', 1);
    this.#deadLetters?.add(place, reason, bytes);
  }

  flush(): void {
    this.#deadLetters?.flush();
  }

  sync(): void {
    this.#deadLetters?.sync();
  }

  close(): void {
    this.#deadLetters?.close();
  }
}

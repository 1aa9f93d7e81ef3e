/**
 * Secrets of a machine: one file each, in a directory that only the task manager's user reads. They are read when a
 * connector asks, in the slot, and are nowhere else: not in graphs, messages, checkpoints or configuration.
 *
 * What was read here is struck out of everything a slot tells others in words. A library that puts a password into the
 * text of its error does not know better.
 */
import { readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { EngineError, isEngineError, type WireError } from '../../core/errors.ts';
import { isPlainName } from '../../core/security/roles.ts';
import { hiddenText, noSecrets, Secret, type SecretLookup } from '../../core/security/secret.ts';

/** A secret is a password or a key, not a file of data. */
export const secretMaxBytes = 64 * 1024;
/** Shorter ones would strike out ordinary words. */
const hiddenMinLength = 4;

export class SecretFiles {
  readonly #directory: string | null;
  readonly #read = new Map<string, Secret>();
  /** Texts to strike out, longest first: one may be part of another. */
  #hidden: readonly string[] = [];

  /** @param directory null: there are none */
  constructor(directory: string | null) {
    this.#directory = directory;
  }

  /** Read once an attempt. @throws EngineError CONFIG_INVALID when there is none, or it is no text of a sensible size */
  readonly lookup: SecretLookup = (name) => {
    if (this.#directory === null) return noSecrets(name);
    let secret = this.#read.get(name);
    if (secret === undefined) {
      secret = readSecret(this.#directory, name);
      this.#read.set(name, secret);
      this.#hideValue(secret.reveal());
    }
    return secret;
  };

  /** `text` with `***` for every secret that was read. */
  hide(text: string): string {
    let hidden = text;
    for (const value of this.#hidden) hidden = hidden.replaceAll(value, hiddenText);
    return hidden;
  }

  hideInError(error: WireError): WireError {
    if (this.#hidden.length === 0) return error;
    const ids = Object.entries(error.ids).map(([name, id]) => [name, typeof id === 'string' ? this.hide(id) : id]);
    return {
      ...error,
      message: this.hide(error.message),
      stack: this.hide(error.stack),
      ids: Object.fromEntries(ids) as WireError['ids'],
      cause: error.cause === null ? null : this.hideInError(error.cause),
    };
  }

  #hideValue(value: string): void {
    // As they stand in URLs and JSON, too.
    const forms = [value, encodeURIComponent(value), JSON.stringify(value).slice(1, -1)];
    const all = new Set([...this.#hidden, ...forms.filter((form) => form.length >= hiddenMinLength)]);
    this.#hidden = [...all].sort((a, b) => b.length - a.length);
  }
}

function readSecret(directory: string, name: string): Secret {
  const ids = { secret: name };
  if (!isPlainName(name)) throw new EngineError('CONFIG_INVALID', `"${name}" is no name of a secret`, { ids });
  const path = join(directory, name);
  try {
    const { size } = statSync(path);
    if (size > secretMaxBytes) {
      const message = `the secret "${name}" has ${size} bytes, ${secretMaxBytes} are allowed → check the file ${path}`;
      throw new EngineError('CONFIG_INVALID', message, { ids });
    }
    // Editors end files with a line feed, which is not part of a password.
    const value = new TextDecoder('utf-8', { fatal: true }).decode(readFileSync(path)).replace(/\r?\n$/, '');
    return new Secret(value);
  } catch (error) {
    if (isEngineError(error)) throw error;
    const why = error instanceof TypeError ? 'it is not UTF-8' : (error as NodeJS.ErrnoException).code;
    const message = `the secret "${name}" cannot be read: ${why} → put it into ${path} on every machine with a task manager`;
    throw new EngineError('CONFIG_INVALID', message, { ids });
  }
}

/**
 * The tokens file of a job manager. It is looked at with every call that shows a token, so that a revoked token is refused
 * at once; a file that has become unusable refuses all.
 */
import { createHash } from 'node:crypto';
import { readFileSync, statSync } from 'node:fs';
import { EngineError } from '../../../core/errors.ts';
import { parseTokens, type TokenEntry, type TokenVerdict, verifyToken } from '../../../core/security/tokens.ts';

/** Says what a token is. */
export interface TokenVerifier {
  /** @throws EngineError when the tokens cannot be read */
  verify(token: string): TokenVerdict;
}

/** As it is kept in the file. */
export const sha256Hex = (text: string): string => createHash('sha256').update(text).digest('hex');

/** A fixed list of tokens. */
export function fixedTokens(entries: readonly TokenEntry[], nowMs: () => number): TokenVerifier {
  return { verify: (token) => verifyToken(token, entries, { nowMs: nowMs(), sha256: sha256Hex }) };
}

/**
 * Reads a tokens file.
 * @throws EngineError CONFIG_INVALID when it cannot be read, is damaged, or may be read by other users
 */
export function readTokenFile(path: string): readonly TokenEntry[] {
  const { mode } = statOf(path);
  if ((mode & 0o022) !== 0) {
    const message = `the tokens file ${path} may be written by other users → chmod 600 ${path}`;
    throw new EngineError('CONFIG_INVALID', message, { ids: { file: path } });
  }
  return parseTokens(readFileSync(path, 'utf8'), path);
}

export class TokenFile implements TokenVerifier {
  readonly #path: string;
  readonly #nowMs: () => number;
  #entries: readonly TokenEntry[];
  #version: string;

  /** @throws EngineError CONFIG_INVALID, as {@link readTokenFile} */
  constructor(path: string, nowMs: () => number) {
    this.#path = path;
    this.#nowMs = nowMs;
    this.#version = versionOf(path);
    this.#entries = readTokenFile(path);
  }

  verify(token: string): TokenVerdict {
    const version = versionOf(this.#path);
    if (version !== this.#version) {
      this.#entries = readTokenFile(this.#path);
      this.#version = version;
    }
    return verifyToken(token, this.#entries, { nowMs: this.#nowMs(), sha256: sha256Hex });
  }
}

/** Changes with every replacement of the file, and with every write within the resolution of its clock. */
function versionOf(path: string): string {
  const { mtimeNs, ctimeNs, ino, size } = statSync(path, { bigint: true, throwIfNoEntry: false }) ?? missing(path);
  return [mtimeNs, ctimeNs, ino, size].join();
}

function statOf(path: string): { readonly mode: number } {
  return statSync(path, { throwIfNoEntry: false }) ?? missing(path);
}

function missing(path: string): never {
  const message = `the tokens file ${path} is not there → millrace tokens create --file ${path} --name admin --role admin`;
  throw new EngineError('CONFIG_INVALID', message, { ids: { file: path } });
}

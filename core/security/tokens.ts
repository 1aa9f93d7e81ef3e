/**
 * Tokens: who holds the text may do what the role of the token may. Kept is only the hash of the text, with a name, a role
 * and an end. Pure: random bytes, hash, clock and file come from outside.
 *
 * A revoked token stays in the list, so that its holder is told what happened and nobody takes its name.
 */
import { assert, EngineError } from '../errors.ts';
import { isPlainName, isTokenRole, type TokenRole, tokenRoles } from './roles.ts';

export interface TokenEntry {
  readonly name: string;
  readonly role: TokenRole;
  /** Of the text of the token, 64 hex digits. */
  readonly sha256: string;
  /** Null: never. */
  readonly expiresAtMs: number | null;
  readonly revoked: boolean;
}

/** Bytes of chance in a token. */
export const tokenBytes = 32;
/** Tokens in one file. */
export const tokensMax = 10_000;
const tokenPrefix = 'mr_';
const tokenPattern = /^mr_[A-Za-z0-9_-]{43}$/;

/** Text of a token: recognizable, so that scanners of repositories find it. */
export function tokenText(random: Uint8Array): string {
  assert(random.length === tokenBytes, `a token has ${tokenBytes} random bytes`);
  return tokenPrefix + Buffer.from(random).toString('base64url');
}

/** How a token was taken. */
export type TokenVerdict =
  | { readonly kind: 'valid'; readonly entry: TokenEntry }
  | { readonly kind: 'expired' | 'revoked'; readonly entry: TokenEntry }
  | { readonly kind: 'unknown' };

/**
 * Looks up a token. Every entry is compared as a whole, so the time it takes tells nothing of how near a guess was.
 * @param sha256 hash of a text as 64 hex digits
 */
export function verifyToken(
  token: string,
  entries: readonly TokenEntry[],
  { nowMs, sha256 }: { readonly nowMs: number; readonly sha256: (text: string) => string },
): TokenVerdict {
  if (!tokenPattern.test(token)) return { kind: 'unknown' };
  const hash = sha256(token);
  let found: TokenEntry | null = null;
  for (const entry of entries) if (sameText(entry.sha256, hash)) found = entry;
  if (found === null) return { kind: 'unknown' };
  if (found.revoked) return { kind: 'revoked', entry: found };
  if (found.expiresAtMs !== null && nowMs >= found.expiresAtMs) return { kind: 'expired', entry: found };
  return { kind: 'valid', entry: found };
}

function sameText(a: string, b: string): boolean {
  let difference = a.length ^ b.length;
  for (let i = 0; i < b.length; i++) difference |= a.charCodeAt(i) ^ b.charCodeAt(i);
  return difference === 0;
}

/** @throws EngineError CONFIG_INVALID when the name is taken or no name */
export function addToken(entries: readonly TokenEntry[], entry: TokenEntry): readonly TokenEntry[] {
  const ids = { token: entry.name };
  if (!isPlainName(entry.name)) {
    const message = `"${entry.name}" is no name of a token: it has letters, digits, '.', '_' and '-', at most 64`;
    throw new EngineError('CONFIG_INVALID', message, { ids });
  }
  const same = entries.find(({ name }) => name === entry.name);
  if (same !== undefined) {
    const state = same.revoked ? 'was revoked' : 'exists';
    throw new EngineError('CONFIG_INVALID', `a token named "${entry.name}" ${state} → choose another name`, { ids });
  }
  if (entries.length >= tokensMax) {
    const message = `there are ${tokensMax} tokens, revoked ones among them → start another tokens file`;
    throw new EngineError('CONFIG_INVALID', message, { ids });
  }
  return [...entries, entry];
}

/** @throws EngineError CONFIG_INVALID when there is no such token */
export function revokeToken(entries: readonly TokenEntry[], name: string): readonly TokenEntry[] {
  if (!entries.some((entry) => entry.name === name)) {
    const message = `there is no token named "${name}" → millrace tokens list`;
    throw new EngineError('CONFIG_INVALID', message, { ids: { token: name } });
  }
  return entries.map((entry) => (entry.name === name ? { ...entry, revoked: true } : entry));
}

/** Text of a tokens file. */
export function formatTokens(entries: readonly TokenEntry[]): string {
  const tokens = entries.map(({ name, role, sha256, expiresAtMs, revoked }) => {
    const expires = expiresAtMs === null ? null : new Date(expiresAtMs).toISOString();
    return { name, role, sha256, expires, revoked };
  });
  return `${JSON.stringify({ version: 1, tokens }, null, 2)}\n`;
}

/**
 * Reads a tokens file.
 * @param file its name, for messages, which never quote what stands in it
 * @throws EngineError CONFIG_INVALID
 */
export function parseTokens(text: string, file: string): readonly TokenEntry[] {
  let content: unknown;
  try {
    content = JSON.parse(text);
  } catch {
    // The parser's message quotes the text.
    throw damaged(file, 'it is not JSON');
  }
  const { version, tokens } = (content ?? {}) as { version?: unknown; tokens?: unknown };
  if (version !== 1) throw damaged(file, 'it is not of version 1');
  if (!Array.isArray(tokens) || tokens.length > tokensMax)
    throw damaged(file, `it has no list of up to ${tokensMax} tokens`);
  const entries = tokens.map((token, index) => parseEntry(token, `${file}, token ${index + 1}`));
  if (new Set(entries.map(({ name }) => name)).size < entries.length) throw damaged(file, 'a name stands there twice');
  return entries;
}

function parseEntry(value: unknown, where: string): TokenEntry {
  const { name, role, sha256, expires, revoked } = (value ?? {}) as Record<string, unknown>;
  if (typeof name !== 'string' || !isPlainName(name)) throw damaged(where, 'it has no proper name');
  if (typeof role !== 'string' || !isTokenRole(role))
    throw damaged(where, `its role is none of ${tokenRoles.join(', ')}`);
  if (typeof sha256 !== 'string' || !/^[0-9a-f]{64}$/.test(sha256))
    throw damaged(where, 'it has no sha256 of 64 hex digits');
  const expiresAtMs = expires === null ? null : typeof expires === 'string' ? Date.parse(expires) : Number.NaN;
  if (Number.isNaN(expiresAtMs)) throw damaged(where, 'expires is neither a time nor null');
  if (typeof revoked !== 'boolean') throw damaged(where, 'revoked is neither true nor false');
  return { name, role, sha256, expiresAtMs, revoked };
}

function damaged(file: string, why: string): EngineError {
  const message = `the tokens file ${file} cannot be used: ${why} → millrace tokens writes it`;
  return new EngineError('CONFIG_INVALID', message, { ids: { file } });
}

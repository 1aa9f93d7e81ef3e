/**
 * `millrace tokens create | list | revoke`: the tokens file of a job manager. The text of a token is written once, to
 * standard output, and kept nowhere.
 */
import { randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { dirname } from 'node:path';
import type { TokenRole } from '../../core/security/roles.ts';
import {
  addToken,
  formatTokens,
  revokeToken,
  tokenBytes,
  type TokenEntry,
  tokenText,
} from '../../core/security/tokens.ts';
import { readTokenFile, sha256Hex } from '../../proto/rpc/security/token-file.ts';
import type { CertsContext } from './certs-command.ts';
import { makePrivateDirectory, replaceFile } from './private-files.ts';

export interface TokensCreateOptions {
  readonly file: string;
  readonly name: string;
  readonly role: TokenRole;
  /** From now; null: never. */
  readonly expiresInMs: number | null;
}

/** @throws EngineError CONFIG_INVALID when the name is taken, or the file damaged */
export function tokensCreate(
  { file, name, role, expiresInMs }: TokensCreateOptions,
  { terminal, nowMs }: CertsContext,
): void {
  const token = tokenText(randomBytes(tokenBytes));
  const expiresAtMs = expiresInMs === null ? null : nowMs + expiresInMs;
  const entry: TokenEntry = { name, role, sha256: sha256Hex(token), expiresAtMs, revoked: false };
  const entries = addToken(existsSync(file) ? readTokenFile(file) : [], entry);
  makePrivateDirectory(dirname(file));
  replaceFile(file, formatTokens(entries), { secret: true });
  terminal.note(`the token "${name}" of role ${role}; it is shown only now:`);
  terminal.line(token);
}

/** Names, roles and ends; no token and no hash. */
export function tokensList(file: string, { terminal, nowMs }: CertsContext): void {
  for (const { name, role, expiresAtMs, revoked } of readTokenFile(file)) {
    const end = expiresAtMs === null ? 'without end' : `until ${new Date(expiresAtMs).toISOString()}`;
    const state = revoked ? ', revoked' : expiresAtMs !== null && nowMs >= expiresAtMs ? ', expired' : '';
    terminal.line(`${name}  ${role}  ${end}${state}`);
  }
}

/** Refused by running job managers from the next call on. @throws EngineError CONFIG_INVALID when there is none */
export function tokensRevoke(file: string, name: string, { terminal }: CertsContext): void {
  replaceFile(file, formatTokens(revokeToken(readTokenFile(file), name)), { secret: true });
  terminal.line(`the token "${name}" is revoked`);
}

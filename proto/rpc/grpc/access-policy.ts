/**
 * Who may call which rpc: the role it declares is shown by a certificate of this cluster, for processes, or by a token, for
 * people and programs. What declares no role is refused. The message says what was missing, and never what was shown.
 */
import { EngineError } from '../../../core/errors.ts';
import { isTokenRole, tokenAllows } from '../../../core/security/roles.ts';
import type { TokenVerifier } from '../security/token-file.ts';
import { type Authorize, type Caller, roleOfMethod } from './authorization.ts';

export interface AccessPolicyOptions {
  /** Name of the cluster in certificates. */
  readonly cluster: string;
  /** Null: nobody calls by token. */
  readonly tokens: TokenVerifier | null;
}

/** The policy of a server with TLS. */
export function accessPolicy(options: AccessPolicyOptions): Authorize {
  return (path, caller) => {
    const role = roleOfMethod(path);
    if (role === null) throw refuse('FORBIDDEN', `${path} is no call of this cluster`, path);
    if (isTokenRole(role)) checkTokenRole(role, path, caller.bearerToken, options.tokens);
    else checkCertificate(role, path, caller, options.cluster);
  };
}

/**
 * Also for HTTP, whose routes declare roles in the same words.
 * @param what is asked for, for the message
 * @throws EngineError UNAUTHENTICATED, FORBIDDEN; CONFIG_INVALID when the tokens file cannot be used any more
 */
export function checkTokenRole(role: string, what: string, token: string | null, tokens: TokenVerifier | null): void {
  if (token === null || tokens === null) {
    throw refuse('UNAUTHENTICATED', `${what} needs a token of role ${role} → give token.file or MILLRACE_TOKEN`, what);
  }
  const verdict = tokens.verify(token);
  if (verdict.kind === 'unknown') {
    throw refuse(
      'UNAUTHENTICATED',
      'the token is none of this cluster → an administrator makes one: millrace tokens create',
      what,
    );
  }
  const { entry } = verdict;
  if (verdict.kind === 'revoked') {
    throw refuse('UNAUTHENTICATED', `the token "${entry.name}" was revoked → an administrator makes another one`, what);
  }
  if (verdict.kind === 'expired') {
    const at = new Date(entry.expiresAtMs ?? 0).toISOString();
    throw refuse(
      'UNAUTHENTICATED',
      `the token "${entry.name}" has expired at ${at} → an administrator makes another one`,
      what,
    );
  }
  if (tokenAllows(entry.role, role)) return;
  throw refuse(
    'FORBIDDEN',
    `${what} needs role ${role}, the token "${entry.name}" has role ${entry.role} → use a token of role ${role}`,
    what,
  );
}

function checkCertificate(role: string, path: string, { certificateNames }: Caller, cluster: string): void {
  if (certificateNames.some((name) => name.role === role && name.cluster === cluster)) return;
  if (certificateNames.length === 0) {
    const message = `${path} needs the certificate of a ${role}, and none that is valid and of this cluster's authority was shown → millrace certs issue --role ${role}`;
    throw refuse('UNAUTHENTICATED', message, path);
  }
  const shown = certificateNames.map((name) => `${name.role} of ${name.cluster}`).join(', ');
  throw refuse(
    'FORBIDDEN',
    `${path} needs the certificate of a ${role} of ${cluster}, not of a ${shown} → millrace certs issue --role ${role}`,
    path,
  );
}

function refuse(code: 'UNAUTHENTICATED' | 'FORBIDDEN', message: string, what: string): EngineError {
  return new EngineError(code, message, { ids: { call: what } });
}

/**
 * How closed a process of a cluster is, from its options: what it proves itself with, who may call it, and whether it may
 * listen where it is told to. Made before anything listens.
 */
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { ResolvedConfig } from '../../core/config/resolve-config.ts';
import { EngineError } from '../../core/errors.ts';
import { checkBind } from '../../core/security/bind.ts';
import { Secret } from '../../core/security/secret.ts';
import type { AuthorizeRoute } from '../../operations/http/http-types.ts';
import { accessPolicy, checkTokenRole } from '../../proto/rpc/grpc/access-policy.ts';
import { allowEverybody, type Authorize } from '../../proto/rpc/grpc/authorization.ts';
import { TlsFileSource, clusterOf, type TlsFiles } from '../../proto/rpc/security/tls-files.ts';
import { TokenFile, type TokenVerifier } from '../../proto/rpc/security/token-file.ts';
import { replaceFile } from '../certs/private-files.ts';
import { tokensCreate } from '../certs/tokens-command.ts';

export interface ProcessSecurity {
  readonly tls: TlsFileSource | null;
  /** For slots, which read the files in their own threads. */
  readonly tlsFiles: TlsFiles | null;
  readonly authorize: Authorize;
  /** For HTTP; null: everybody, on this machine only. */
  readonly tokens: TokenVerifier | null;
  readonly insecure: boolean;
}

export interface SecurityContext {
  readonly nowMs: () => number;
  readonly warn: (message: string) => void;
}

const insecureWarning =
  'listening without protection was asked for: whoever reaches this process can run code as its user';
/** How often that is said. */
const insecureWarningMs = 3_600_000;

/** @throws EngineError CONFIG_INVALID naming the option or file; the process ends with exit code 78 */
export function processSecurity(
  config: ResolvedConfig,
  role: 'job-manager' | 'task-manager',
  { nowMs, warn }: SecurityContext,
): ProcessSecurity {
  const tlsFiles = tlsFilesOf(config);
  const onProblem = (error: EngineError): void => warn(`renewed certificates are not used: ${error.message}`);
  const tls = tlsFiles === null ? null : new TlsFileSource(tlsFiles, { role, nowMs, onProblem });
  const tokensPath = role === 'job-manager' ? config.get('tokens.file') : null;
  if (tokensPath !== null && tls !== null && !existsSync(tokensPath)) firstToken(tokensPath, nowMs(), warn);
  const tokens = tokensPath === null ? null : new TokenFile(tokensPath, nowMs);
  const insecure = config.get('insecure');
  // Task managers are called by job managers alone, whose certificate says who they are.
  const auth = role === 'task-manager' ? tls !== null : tokens !== null;
  for (const [option, host] of listeners(config, role)) {
    const refusal = checkBind(host, { tls: tls !== null, auth, insecure }, { option, role });
    if (refusal !== null) throw refusal;
  }
  if (insecure) {
    warn(insecureWarning);
    setInterval(() => warn(insecureWarning), insecureWarningMs).unref();
  }
  return { tls, tlsFiles, tokens, insecure, authorize: tls === null ? withoutTls(tokens) : policy(tls, tokens) };
}

function policy(tls: TlsFileSource, tokens: TokenVerifier | null): Authorize {
  const cluster = clusterOf(tls.current());
  if (cluster === null)
    throw new EngineError('INTERNAL', 'a certificate of no cluster was loaded', { domain: 'internal' });
  return accessPolicy({ cluster, tokens });
}

/** Without TLS nobody shows a certificate, so tokens cannot be asked of people without shutting out task managers. */
function withoutTls(tokens: TokenVerifier | null): Authorize {
  if (tokens === null) return allowEverybody;
  throw new EngineError(
    'CONFIG_INVALID',
    'tokens.file is given without tls: tokens would travel in clear → give tls.ca, tls.cert and tls.key',
    {
      ids: { option: 'tokens.file' },
    },
  );
}

function listeners(
  config: ResolvedConfig,
  role: 'job-manager' | 'task-manager',
): readonly (readonly [string, string])[] {
  return role === 'job-manager'
    ? [
        ['jobManager.address', config.get('jobManager.address').host],
        ['jobManager.http', config.get('jobManager.http').host],
      ]
    : [
        ['taskManager.host', config.get('taskManager.host')],
        ['taskManager.http', config.get('taskManager.http').host],
      ];
}

/** The files of `tls.*`; null when none is given. */
export function tlsFilesOf(config: ResolvedConfig): TlsFiles | null {
  const [ca, cert, key] = [config.get('tls.ca'), config.get('tls.cert'), config.get('tls.key')];
  return ca === null || cert === null || key === null ? null : { ca, cert, key };
}

/** What a client calls with; null without a token. @throws EngineError CONFIG_INVALID */
export function clientToken(config: ResolvedConfig): Secret | null {
  const given = config.get('token');
  const path = config.get('token.file');
  if (given !== null || path === null) return given === null ? null : new Secret(given);
  try {
    return new Secret(readFileSync(path, 'utf8').trim());
  } catch (error) {
    const message = `token.file ${path} cannot be read: ${(error as Error).message} → an administrator makes a token: millrace tokens create`;
    throw new EngineError('CONFIG_INVALID', message, { ids: { option: 'token.file', file: path }, cause: error });
  }
}

/** Who may read a job manager by HTTP: with tokens a viewer and above, else everybody, which is this machine only. */
export function httpPolicy(tokens: TokenVerifier | null): AuthorizeRoute {
  return (role, { bearerToken }) => {
    if (role !== 'public' && tokens !== null) checkTokenRole(role, 'this address', bearerToken, tokens);
  };
}

/** Who may read a task manager by HTTP, which knows no tokens: with TLS whoever shows a certificate of the cluster. */
export function certificatePolicy(tls: TlsFileSource | null): AuthorizeRoute {
  return (role, { certificateNames }) => {
    if (role === 'public' || tls === null) return;
    const cluster = clusterOf(tls.current());
    if (certificateNames.some((name) => name.cluster === cluster)) return;
    const message = `this address needs a certificate of the cluster → millrace certs issue --role client`;
    throw new EngineError('UNAUTHENTICATED', message, { ids: { role } });
  };
}

/** A cluster that is started for the first time gets one token, in a file for its owner alone: nothing else could make another. */
function firstToken(tokensPath: string, nowMs: number, warn: (message: string) => void): void {
  const path = join(dirname(tokensPath), 'admin.token');
  const terminal = {
    note: () => undefined,
    line: (token: string) => replaceFile(path, `${token}\n`, { secret: true }),
  };
  tokensCreate({ file: tokensPath, name: 'admin', role: 'admin', expiresInMs: null }, { terminal, nowMs });
  warn(`there was no tokens file ${tokensPath}: it was made with one token of role admin, which is in ${path}`);
}

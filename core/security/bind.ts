/**
 * What may be listened on. This machine: always. Anything else: only encrypted and only for those who show who they are,
 * because whoever reaches a job manager can run code. The refusal says the very lines that are missing. Pure.
 */
import { EngineError } from '../errors.ts';
import { isLoopback } from './loopback.ts';

/** Exit code of a process that refuses its configuration (EX_CONFIG of sysexits.h). */
export const configurationExitCode = 78;
/** Name of the one way around the refusal. */
export const insecureFlag = '--insecure-i-understand';

export interface BindProtection {
  /** Connections are encrypted. */
  readonly tls: boolean;
  /** Callers are told apart: by tokens, or by certificates where only processes of the cluster call. */
  readonly auth: boolean;
  /** Somebody has taken the responsibility by {@link insecureFlag}. */
  readonly insecure: boolean;
}

const tlsLine = (role: string): string => `tls: { ca: certs/ca.pem, cert: certs/${role}.pem, key: certs/${role}.key }`;
const tokensLine = 'tokens: { file: tokens.json }';

/**
 * Null when `host` may be listened on; else the refusal, with the lines of `millrace.yaml` that are missing and the
 * commands that make the files they name.
 * @param role of the certificate that the listening process needs
 */
export function checkBind(
  host: string,
  { tls, auth, insecure }: BindProtection,
  listener: { readonly option: string; readonly role: 'job-manager' | 'task-manager' },
): EngineError | null {
  if (isLoopback(host) || insecure || (tls && auth)) return null;
  const { option, role } = listener;
  const lacks = [...(tls ? [] : ['TLS']), ...(auth ? [] : ['authentication'])].join(' and ');
  const lines = [
    ...(tls ? [] : [tlsLine(role)]),
    // Only job managers are called by people.
    ...(auth || role === 'task-manager' ? [] : [tokensLine]),
    `# made by: millrace certs init --directory certs --cluster <name>, then millrace certs issue --role ${role} --host <host>`,
  ];
  const message = `${option} ${host} can be reached from other machines, and there is no ${lacks} → listen on 127.0.0.1, or add to millrace.yaml:\n${lines.map((line) => `  ${line}`).join('\n')}`;
  return new EngineError('CONFIG_INVALID', message, { ids: { option, host } });
}

/**
 * The names in a certificate that say which cluster its holder belongs to and what it is there: URIs of the form
 * `spiffe://<cluster>/<role>`. Pure: the text is the one Node makes of a certificate that was verified before.
 */
import { EngineError } from '../errors.ts';

export interface CertificateName {
  readonly cluster: string;
  readonly role: string;
}

/**
 * Of the alternative names of a certificate, as Node writes them. None when Node had to quote one, so that nothing can be
 * smuggled in by the text of another name.
 */
export function certificateNames(subjectAltName: string | undefined): readonly CertificateName[] {
  if (subjectAltName === undefined || subjectAltName.includes('"')) return [];
  return subjectAltName.split(', ').flatMap((name) => {
    const match = /^URI:spiffe:\/\/([A-Za-z0-9._-]+)\/([a-z-]+)$/.exec(name);
    return match === null ? [] : [{ cluster: match[1] as string, role: match[2] as string }];
  });
}

/** The name of a process, to be put in its certificate. */
export function certificateUri(cluster: string, role: string): string {
  return `spiffe://${cluster}/${role}`;
}

export interface CertificateFacts {
  readonly names: readonly CertificateName[];
  readonly notBeforeMs: number;
  readonly notAfterMs: number;
}

/**
 * Null when a certificate may be used as `role` of `cluster` (null: of any) at this time.
 * @param what whose it is, for the message: a file, or a peer
 */
export function certificateProblem(
  facts: CertificateFacts,
  wanted: {
    readonly role: string | null;
    readonly cluster: string | null;
    readonly nowMs: number;
    readonly what: string;
  },
): EngineError | null {
  const { role, cluster, nowMs, what } = wanted;
  const told = facts.names.map((name) => certificateUri(name.cluster, name.role)).join(', ') || 'nobody of a cluster';
  const ids = { certificate: what };
  if (nowMs > facts.notAfterMs) {
    const message = `the certificate ${what} has expired at ${isoTime(facts.notAfterMs)} → millrace certs rotate`;
    return new EngineError('CONFIG_INVALID', message, { ids });
  }
  if (nowMs < facts.notBeforeMs) {
    const message = `the certificate ${what} is not valid before ${isoTime(facts.notBeforeMs)} → look at the clocks of the machines`;
    return new EngineError('CONFIG_INVALID', message, { ids });
  }
  const ofRole = facts.names.filter((name) => role === null || name.role === role);
  if (ofRole.length === 0 || facts.names.length === 0) {
    const message = `the certificate ${what} is made for ${told}, not for a ${role ?? 'process of a cluster'} → millrace certs issue --role ${role ?? 'job-manager'}`;
    return new EngineError('CONFIG_INVALID', message, { ids });
  }
  if (cluster === null || ofRole.some((name) => name.cluster === cluster)) return null;
  const message = `the certificate ${what} is made for ${told}, not for cluster "${cluster}" → use certificates of one cluster`;
  return new EngineError('CONFIG_INVALID', message, { ids });
}

const isoTime = (ms: number): string => new Date(ms).toISOString();

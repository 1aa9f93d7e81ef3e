/**
 * Certificates from files. They are checked when they are read, so that a process with an expired certificate or one of
 * another role says so when it starts, and not by connections that fail. Files that are renewed are read again; renewed
 * files that cannot be used are told of, and what was there before stays in use.
 */
import { createPrivateKey, X509Certificate } from 'node:crypto';
import { readFileSync, unwatchFile, watchFile } from 'node:fs';
import { EngineError } from '../../../core/errors.ts';
import {
  type CertificateFacts,
  certificateNames,
  certificateProblem,
} from '../../../core/security/certificate-names.ts';
import type { TlsMaterial, TlsMaterialSource } from '../../../core/tls-material.ts';

/** Paths of PEM files. */
export interface TlsFiles {
  readonly ca: string;
  readonly cert: string;
  readonly key: string;
}

export interface TlsFilesOptions {
  /** What the certificate must say its holder is; null: anything of a cluster. */
  readonly role: string | null;
  readonly nowMs: () => number;
  /** Renewed files cannot be used. */
  readonly onProblem: (error: EngineError) => void;
}

/** How often the files are looked at. */
const lookIntervalMs = 1_000;

/** What Node knows of a certificate, in the form that is judged. */
export function certificateFacts(certificate: X509Certificate): CertificateFacts {
  return {
    names: certificateNames(certificate.subjectAltName),
    notBeforeMs: Date.parse(certificate.validFrom),
    notAfterMs: Date.parse(certificate.validTo),
  };
}

/** Cluster that the certificate of this process belongs to; null when it names none. */
export function clusterOf(material: TlsMaterial): string | null {
  const { subjectAltName } = new X509Certificate(Buffer.from(material.cert));
  return certificateNames(subjectAltName)[0]?.cluster ?? null;
}

/**
 * Reads the files and checks that they fit each other and may be used now.
 * @throws EngineError CONFIG_INVALID naming the file
 */
export function loadTlsFiles(files: TlsFiles, options: Pick<TlsFilesOptions, 'role' | 'nowMs'>): TlsMaterial {
  const material = {
    ca: read(files.ca, 'tls.ca'),
    cert: read(files.cert, 'tls.cert'),
    key: read(files.key, 'tls.key'),
  };
  const authority = certificateOf(material.ca, files.ca);
  const certificate = certificateOf(material.cert, files.cert);
  const key = understood(files.key, 'is not a private key in PEM', () => createPrivateKey(material.key));
  if (!certificate.checkPrivateKey(key)) {
    throw invalid(
      `the private key ${files.key} is not that of the certificate ${files.cert} → give the two files of one certificate`,
      files.key,
    );
  }
  if (!certificate.checkIssued(authority) || !certificate.verify(authority.publicKey)) {
    throw invalid(
      `the certificate ${files.cert} was not issued by the authority ${files.ca} → use certificates of one cluster`,
      files.cert,
    );
  }
  const nowMs = options.nowMs();
  if (nowMs > Date.parse(authority.validTo)) {
    throw invalid(
      `the authority ${files.ca} has expired at ${authority.validTo} → millrace certs init in a new directory`,
      files.ca,
    );
  }
  const problem = certificateProblem(certificateFacts(certificate), {
    role: options.role,
    cluster: null,
    nowMs,
    what: files.cert,
  });
  if (problem !== null) throw problem;
  return material;
}

/** The files as a source of material for listeners and connections. */
export class TlsFileSource implements TlsMaterialSource {
  readonly #files: TlsFiles;
  readonly #options: TlsFilesOptions;
  readonly #listeners = new Set<() => void>();
  #material: TlsMaterial;

  /** @throws EngineError CONFIG_INVALID when the files cannot be used */
  constructor(files: TlsFiles, options: TlsFilesOptions) {
    this.#files = files;
    this.#options = options;
    this.#material = loadTlsFiles(files, options);
  }

  current(): TlsMaterial {
    return this.#material;
  }

  /** Looks at the files once a second while anybody watches. */
  watch(changed: () => void): () => void {
    // Two listeners may be the same function.
    const listener = (): void => changed();
    if (this.#listeners.size === 0) this.#startLooking();
    this.#listeners.add(listener);
    return () => {
      if (this.#listeners.delete(listener) && this.#listeners.size === 0) this.#stopLooking();
    };
  }

  /** Reads the files now; what cannot be used is told to `onProblem`. */
  readonly reload = (): void => {
    let material: TlsMaterial;
    try {
      material = loadTlsFiles(this.#files, this.#options);
    } catch (error) {
      // Also between the renewal of the certificate and that of its key: the next change brings both.
      this.#options.onProblem(error as EngineError);
      return;
    }
    if (sameMaterial(material, this.#material)) return;
    this.#material = material;
    for (const listener of this.#listeners) listener();
  };

  #startLooking(): void {
    for (const path of Object.values(this.#files))
      watchFile(path, { persistent: false, interval: lookIntervalMs }, this.reload);
  }

  #stopLooking(): void {
    for (const path of Object.values(this.#files)) unwatchFile(path, this.reload);
  }
}

function sameMaterial(a: TlsMaterial, b: TlsMaterial): boolean {
  return (['ca', 'cert', 'key'] as const).every((part) => Buffer.from(a[part]).equals(b[part]));
}

function read(path: string, option: string): Buffer {
  try {
    return readFileSync(path);
  } catch (error) {
    const message = `${option} ${path} cannot be read: ${(error as Error).message} → millrace certs issue makes it`;
    throw new EngineError('CONFIG_INVALID', message, { ids: { option, file: path }, cause: error });
  }
}

const certificateOf = (pem: Buffer, file: string): X509Certificate =>
  understood(file, 'is not a certificate in PEM', () => new X509Certificate(pem));

/** Without the cause: OpenSSL's texts may tell of the key. */
function understood<T>(file: string, what: string, make: () => T): T {
  try {
    return make();
  } catch {
    throw invalid(`${file} ${what} → millrace certs issue makes one`, file);
  }
}

function invalid(message: string, file: string): EngineError {
  return new EngineError('CONFIG_INVALID', message, { ids: { file } });
}

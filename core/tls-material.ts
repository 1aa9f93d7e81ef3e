/**
 * What a process proves itself with and trusts, as PEM. Whoever listens or connects takes it from a source, so that renewed
 * certificates reach new connections without a restart.
 */

export interface TlsMaterial {
  /** Certificates of the authorities that are trusted. */
  readonly ca: Uint8Array;
  /** Certificate of this process, and those between it and the authority. */
  readonly cert: Uint8Array;
  /** Private key of this process. */
  readonly key: Uint8Array;
}

/** Where {@link TlsMaterial} comes from, and word when it was renewed. */
export interface TlsMaterialSource {
  /** As of now. */
  current(): TlsMaterial;
  /** Calls back after every change. @returns ends it */
  watch(changed: () => void): () => void;
}

/** A source whose material never changes. */
export function fixedTlsMaterial(material: TlsMaterial): TlsMaterialSource {
  return { current: () => material, watch: () => () => undefined };
}

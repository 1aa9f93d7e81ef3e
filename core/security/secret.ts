/**
 * A value that must not be seen. Whatever turns it into text by itself (a template, JSON, a log, `console.log`, an error)
 * gets `***`; only {@link Secret.reveal} gives it out, at the place that hands it to another system. It is not copied to
 * other threads with its value either.
 */
import { EngineError } from '../errors.ts';
import { isPlainName } from './roles.ts';

/** What stands in place of a secret. */
export const hiddenText = '***';

/** A value that prints as `***`. */
export class Secret {
  readonly #value: string;

  constructor(value: string) {
    this.#value = value;
  }

  /** The value itself. */
  reveal(): string {
    return this.#value;
  }

  /** `***`. */
  toString(): string {
    return hiddenText;
  }

  /** `***`. */
  toJSON(): string {
    return hiddenText;
  }

  /** `***`. */
  [Symbol.toPrimitive](): string {
    return hiddenText;
  }

  [Symbol.for('nodejs.util.inspect.custom')](): string {
    return hiddenText;
  }
}

/** Value of the secret of a name. @throws EngineError CONFIG_INVALID when there is none */
export type SecretLookup = (name: string) => Secret;

/** Where nobody has said where secrets are. */
export const noSecrets: SecretLookup = (name) => {
  const message = `the secret "${name}" is not known here → give secretsDirectory, with a file of that name in it`;
  throw new EngineError('CONFIG_INVALID', message, { ids: { secret: name } });
};

const referencePattern = /\$\{secret:([^}]*)\}/g;

/**
 * Names of the secrets that `text` refers to by `${secret:name}`, each once.
 * @throws EngineError CONFIG_INVALID for a name that is no plain name: it is the name of a file
 */
export function secretNames(text: string): readonly string[] {
  const names = new Set<string>();
  for (const [reference, name = ''] of text.matchAll(referencePattern)) {
    if (!isPlainName(name)) {
      const message = `"${reference}" names no secret: names have letters, digits, '.', '_' and '-', at most 64`;
      throw new EngineError('CONFIG_INVALID', message, { ids: { secret: name } });
    }
    names.add(name);
  }
  return [...names];
}

/**
 * `text` with every `${secret:name}` replaced.
 * @param lookup value of a secret; throws when there is none
 */
export function resolveSecrets(text: string, lookup: SecretLookup): Secret {
  // Checked first: a replacement is never looked at again, so that a value cannot refer to another secret.
  secretNames(text);
  return new Secret(text.replace(referencePattern, (_reference, name: string) => lookup(name).reveal()));
}

/**
 * Combinators from which codecs between plain messages and bytes are built. The generated code decodes leniently (defaults
 * for what is missing, Long objects for large numbers); these say what a message must contain and refuse the rest, so
 * malformed bytes never get past `rpc/`.
 */
import { EngineError } from '../../core/errors.ts';

/** One field: plain value to wire value and back. `path` names the field in errors. */
export interface FieldCodec<T> {
  toWire(value: T, path: string): unknown;
  fromWire(wire: unknown, path: string): T;
}

export interface MessageCodec<T> extends FieldCodec<T> {
  encode(value: T): Uint8Array;
  /** @throws EngineError PROTOCOL when the bytes are not such a message */
  decode(bytes: Uint8Array): T;
}

/** What is used of a generated message class. */
interface GeneratedMessage {
  encode(message: object): { finish(): Uint8Array };
  decode(bytes: Uint8Array): object;
}

function malformed(path: string, expected: string, cause?: unknown): EngineError {
  const message = `control-plane message refused: ${path} is not ${expected}; check that both sides run the same release`;
  return new EngineError('PROTOCOL', message, { domain: 'internal', cause, ids: { field: path } });
}

export const text: FieldCodec<string> = {
  toWire: (value) => value,
  fromWire: (wire, path) => {
    if (typeof wire !== 'string') throw malformed(path, 'a text');
    return wire;
  },
};

/** A text that must not be empty: names and hashes, whose absence on the wire reads as "". */
export const nonEmptyText: FieldCodec<string> = {
  toWire: checkNonEmpty,
  fromWire: checkNonEmpty,
};

function checkNonEmpty(value: unknown, path: string): string {
  if (typeof value !== 'string' || value === '') throw malformed(path, 'a non-empty text');
  return value;
}

export const flag: FieldCodec<boolean> = {
  toWire: (value) => value,
  fromWire: (wire, path) => {
    if (typeof wire !== 'boolean') throw malformed(path, 'a boolean');
    return wire;
  },
};

export const bytes: FieldCodec<Uint8Array> = {
  toWire: (value) => value,
  fromWire: (wire, path) => {
    if (!(wire instanceof Uint8Array)) throw malformed(path, 'bytes');
    return wire;
  },
};

/** A double; NaN and the infinities pass. */
export const float: FieldCodec<number> = {
  toWire: (value) => value,
  fromWire: (wire, path) => {
    if (typeof wire !== 'number') throw malformed(path, 'a number');
    return wire;
  },
};

/** A whole number of `0 .. max`. protobufjs hands large ones out as Long. */
function wholeNumber(max: number): FieldCodec<number> {
  const check = (wire: unknown, path: string): number => {
    const value = typeof wire === 'object' && wire !== null && 'toNumber' in wire ? Number(wire) : wire;
    if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < 0 || value > max) {
      throw malformed(path, `a whole number of 0..${max}`);
    }
    return value;
  };
  return { toWire: check, fromWire: check };
}
/** uint64 within what a JavaScript number holds exactly. */
export const count: FieldCodec<number> = wholeNumber(Number.MAX_SAFE_INTEGER);
export const uint32: FieldCodec<number> = wholeNumber(0xffff_ffff);

/** One of a list of names, sent as its index plus `firstNumber`. */
export function enumeration<T extends string>(names: readonly T[], firstNumber: number): FieldCodec<T> {
  return {
    toWire: (value) => names.indexOf(value) + firstNumber,
    fromWire: (wire, path) => {
      const name = typeof wire === 'number' ? names[wire - firstNumber] : undefined;
      if (name === undefined) throw malformed(path, `one of ${names.join(', ')}`);
      return name;
    },
  };
}

/** One of a list of names, sent as text. */
export function oneOf<T extends string>(names: readonly T[]): FieldCodec<T> {
  return {
    toWire: (value) => value,
    fromWire: (wire, path) => {
      const name = names.find((candidate) => candidate === wire);
      if (name === undefined) throw malformed(path, `one of ${names.join(', ')}`);
      return name;
    },
  };
}

export function list<T>(item: FieldCodec<T>): FieldCodec<readonly T[]> {
  return {
    toWire: (value, path) => value.map((element, index) => item.toWire(element, `${path}[${index}]`)),
    fromWire: (wire, path) => {
      if (!Array.isArray(wire)) throw malformed(path, 'a list');
      return wire.map((element, index) => item.fromWire(element, `${path}[${index}]`));
    },
  };
}

/** A map with text keys. `Object.fromEntries` defines properties, so a key `__proto__` is data like any other. */
export function record<T>(item: FieldCodec<T>): FieldCodec<Readonly<Record<string, T>>> {
  const convert = <From, To>(from: object, path: string, one: (value: From, path: string) => To): Record<string, To> =>
    Object.fromEntries(Object.entries(from).map(([key, value]) => [key, one(value as From, `${path}.${key}`)]));
  return {
    toWire: (value, path) => convert(value, path, (one: T, at) => item.toWire(one, at)),
    fromWire: (wire, path) => {
      if (typeof wire !== 'object' || wire === null) throw malformed(path, 'a map');
      return convert(wire, path, (one: unknown, at) => item.fromWire(one, at));
    },
  };
}

export function nullable<T>(item: FieldCodec<T>): FieldCodec<T | null> {
  return {
    toWire: (value, path) => (value === null ? undefined : item.toWire(value, path)),
    fromWire: (wire, path) => (wire === null || wire === undefined ? null : item.fromWire(wire, path)),
  };
}

/** Resolves a codec at first use, for a message that contains itself. */
export function recursive<T>(resolve: () => FieldCodec<T>): FieldCodec<T> {
  return {
    toWire: (value, path) => resolve().toWire(value, path),
    fromWire: (wire, path) => resolve().fromWire(wire, path),
  };
}

/** A message: one codec for each field of its plain interface, whose names are those of the generated class. */
export function message<T extends object>(
  name: string,
  generated: GeneratedMessage,
  fields: { readonly [Field in keyof T]-?: FieldCodec<T[Field]> },
): MessageCodec<T> {
  const entries = Object.entries(fields) as [string, FieldCodec<unknown>][];
  const toWire = (value: T, path: string): object => {
    const wire: Record<string, unknown> = {};
    for (const [field, codec] of entries) wire[field] = codec.toWire(value[field as keyof T], `${path}.${field}`);
    return wire;
  };
  const fromWire = (wire: unknown, path: string): T => {
    if (typeof wire !== 'object' || wire === null) throw malformed(path, 'present');
    const value: Record<string, unknown> = {};
    for (const [field, codec] of entries) {
      value[field] = codec.fromWire((wire as Record<string, unknown>)[field], `${path}.${field}`);
    }
    return value as T;
  };
  return {
    toWire,
    fromWire,
    encode: (value) => generated.encode(toWire(value, name)).finish(),
    decode: (bytes) => fromWire(decodeGenerated(name, generated, bytes), name),
  };
}

function decodeGenerated(name: string, generated: GeneratedMessage, bytes: Uint8Array): object {
  try {
    return generated.decode(bytes);
  } catch (cause) {
    throw malformed(name, 'well-formed', cause);
  }
}

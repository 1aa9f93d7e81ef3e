/** Values that survive the stored-value codec and structured clone alike; what options, splits and committables are made of. */
export type JsonValue = null | boolean | number | string | readonly JsonValue[] | { readonly [key: string]: JsonValue };
/** A JSON object: options of connectors, parameters, configuration of operators. */
export type JsonObject = { readonly [key: string]: JsonValue };

/** Anything the codecs accept: primitives except symbols, plain objects, arrays, Date, bytes, typed arrays, Map, Set. */
export type PlainData = unknown;

/** JSON text with object keys sorted at every level: equal data gives equal text, so its hash is a fingerprint. */
export function canonicalJson(value: JsonValue): string {
  if (value === null || typeof value !== 'object') return JSON.stringify(value);
  if (Array.isArray(value)) return `[${value.map((item) => canonicalJson(item as JsonValue)).join(',')}]`;
  const object = value as JsonObject;
  const entries = Object.keys(object).sort();
  return `{${entries.map((key) => `${JSON.stringify(key)}:${canonicalJson(object[key] as JsonValue)}`).join(',')}}`;
}

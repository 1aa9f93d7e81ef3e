/**
 * Kinds of values of options: how each is read from text, and how it is written again. Pure; a value that is not one is
 * answered with what was expected, and the caller says of which option.
 */

/** Text → value, or what was expected instead. */
export type Reading<T> = { readonly value: T } | { readonly expected: string };

export interface OptionType<T = unknown> {
  /** Placeholder in help and pages: `<time>`. */
  readonly placeholder: string;
  /** What is written there, with its unit. */
  readonly form: string;
  read(text: string): Reading<T>;
  /** The text that reads as this value. */
  write(value: T): string;
}

const timeUnits = { ms: 1, s: 1_000, m: 60_000, min: 60_000, h: 3_600_000, d: 86_400_000 } as const;
const byteUnits = { B: 1, KiB: 1024, MiB: 1024 ** 2, GiB: 1024 ** 3, kB: 1e3, MB: 1e6, GB: 1e9 } as const;
const portMax = 65_535;

/** What a given number without unit, or with a unit of another kind, is answered with. */
function unitHint(text: string, units: readonly string[]): string {
  const unit = /^\d+(?:\.\d+)?\s*([A-Za-z]*)$/.exec(text)?.[1];
  if (unit === undefined) return '';
  return unit === '' ? `: the unit is missing (${units.join(', ')})` : `: the unit is one of ${units.join(', ')}`;
}

function withUnit(units: Readonly<Record<string, number>>, example: string): (text: string) => Reading<number> {
  const names = Object.keys(units);
  return (text) => {
    const match = new RegExp(`^(\\d+(?:\\.\\d+)?)(${names.join('|')})$`).exec(text);
    const value = match === null ? Number.NaN : Math.round(Number(match[1]) * (units[match[2] as string] as number));
    if (value >= 1 && value <= Number.MAX_SAFE_INTEGER) return { value };
    return { expected: `${example}${unitHint(text, names)}` };
  };
}

function writeWithUnit(units: readonly (readonly [string, number])[]): (value: number) => string {
  return (value) => {
    const [name, size] = units.find(([, bytes]) => value % bytes === 0) ?? (units.at(-1) as readonly [string, number]);
    return `${value / size}${name}`;
  };
}

/** Milliseconds. */
export const durationType: OptionType<number> = {
  placeholder: '<time>',
  form: 'time with unit: 500ms, 5s, 10m, 2h, 1d',
  read: withUnit(timeUnits, 'a time such as 500ms, 5s or 10m'),
  write: writeWithUnit([
    ['h', timeUnits.h],
    ['m', timeUnits.m],
    ['s', timeUnits.s],
    ['ms', 1],
  ]),
};

/** Bytes. */
export const bytesType: OptionType<number> = {
  placeholder: '<size>',
  form: 'size with unit: 64MiB, 1GiB, 500MB',
  read: withUnit(byteUnits, 'a size such as 64MiB or 1GiB'),
  write: writeWithUnit([
    ['GiB', byteUnits.GiB],
    ['MiB', byteUnits.MiB],
    ['KiB', byteUnits.KiB],
    ['B', 1],
  ]),
};

/** A whole number within bounds, both inclusive. */
export function integerType(min: number, max: number): OptionType<number> {
  const form = `whole number from ${min} to ${max}`;
  return {
    placeholder: '<n>',
    form,
    read: (text) => {
      const value = /^\d+$/.test(text) ? Number(text) : Number.NaN;
      return value >= min && value <= max ? { value } : { expected: `a ${form}` };
    },
    write: String,
  };
}

/** 0: any free one. */
export const portType: OptionType<number> = { ...integerType(0, portMax), form: 'port; 0: any free one' };

export interface Address {
  /** Without brackets. */
  readonly host: string;
  readonly port: number;
}

/** `host:port`. */
export const addressType: OptionType<Address> = {
  placeholder: '<host:port>',
  form: 'host:port, or [address]:port for IPv6',
  read: (text) => {
    const match = /^(?:\[([0-9a-fA-F:.]+)\]|([A-Za-z0-9._-]+)):(\d{1,5})$/.exec(text);
    const port = Number(match?.[3]);
    if (match === null || port > portMax) return { expected: 'an address host:port, or [address]:port for IPv6' };
    return { value: { host: match[1] ?? (match[2] as string), port } };
  },
  write: ({ host, port }) => (host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`),
};

/** A name or an address of a machine, without a port. */
export const hostType: OptionType<string> = {
  placeholder: '<host>',
  form: 'name or address, without a port',
  read: (text) =>
    /^(?:[A-Za-z0-9._-]+|[0-9a-fA-F:]*:[0-9a-fA-F:.]*)$/.test(text) && !/^[A-Za-z0-9._-]+:\d+$/.test(text)
      ? { value: text }
      : { expected: 'a name or an address of a machine, without a port' },
  write: (value) => value,
};

export interface Ports {
  readonly first: number;
  readonly last: number;
}

/** Both ends inclusive. */
export const portRangeType: OptionType<Ports> = {
  placeholder: '<first-last>',
  form: 'ports first-last, both inclusive',
  read: (text) => {
    const match = /^(\d+)(?:-(\d+))?$/.exec(text);
    const first = Number(match?.[1] ?? Number.NaN);
    const last = Number(match?.[2] ?? first);
    if (first >= 1 && last <= portMax && first <= last) return { value: { first, last } };
    return { expected: `a range of ports such as 7000-7003, within 1 to ${portMax}` };
  },
  write: ({ first, last }) => `${first}-${last}`,
};

function textType(placeholder: string, form: string, pattern: RegExp): OptionType<string> {
  return {
    placeholder,
    form,
    read: (text) => (pattern.test(text) ? { value: text } : { expected: form }),
    write: (value) => value,
  };
}

/** A file or directory; relative ones against the directory of the file they are named in, or the working directory. */
export const pathType = textType('<path>', 'a path', /^[^\0]+$/);
/** Any text but none. */
export const plainTextType = textType('<text>', 'a text', /^.+$/);
/** Where all processes keep what they share. */
export const storageType = textType(
  '<path or s3 url>',
  'a directory, or s3://bucket/prefix',
  /^(?:s3:\/\/[^\s]+|(?!s3:)[^\0]+)$/,
);
/** An endpoint of another system. */
export const urlType = textType('<url>', 'http://host:port or https://host:port', /^https?:\/\/[^\s/]+\/?$/);

/** One of a closed list of words. */
export function choiceType<T extends string>(choices: readonly T[]): OptionType<T> {
  const form = `one of ${choices.join(', ')}`;
  return {
    placeholder: `<${choices.join('|')}>`,
    form,
    read: (text) => {
      const value = choices.find((choice) => choice === text);
      return value === undefined ? { expected: form } : { value };
    },
    write: (value) => value,
  };
}

/** True when given. */
export const switchType: OptionType<boolean> = {
  placeholder: '',
  form: 'true or false',
  read: (text) => (text === 'true' || text === 'false' ? { value: text === 'true' } : { expected: 'true or false' }),
  write: String,
};

/** Several values with commas between; none for an empty text. */
export function listType<T>(type: OptionType<T>): OptionType<readonly T[]> {
  return {
    placeholder: `${type.placeholder},…`,
    form: `list, with commas between: ${type.form}`,
    read: (text) => {
      const values: T[] = [];
      for (const part of text.split(',').map((one) => one.trim())) {
        if (part === '') continue;
        const reading = type.read(part);
        if ('expected' in reading) return { expected: `a list of ${reading.expected}` };
        values.push(reading.value);
      }
      return { value: values };
    },
    write: (values) => values.map((value) => type.write(value)).join(','),
  };
}

export const addressesType = listType(addressType);
export const urlsType = listType(urlType);

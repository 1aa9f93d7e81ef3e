/** One request of a web server's log in common log format, and how to read it. */
export interface Request {
  readonly visitor: string;
  readonly page: string;
  readonly status: number;
  /** Milliseconds since the epoch. */
  readonly at: number;
}

const format = /^(\S+) \S+ \S+ \[(\d+)\/(\w{3})\/(\d{4}):([\d:]{8}) ([+-]\d{4})\] "[A-Z]+ (\S+) [^"]*" (\d{3}) /;

/** @throws Error when the line is none of common log format */
export function parseLogLine(line: string): Request {
  const parts = format.exec(line);
  if (parts === null) throw new Error('not a line of common log format');
  const [, visitor = '', day, month, year, time, zone, target = '', status] = parts;
  const at = Date.parse(`${day} ${month} ${year} ${time} ${zone}`);
  if (Number.isNaN(at)) throw new Error(`no time: ${day}/${month}/${year}:${time}`);
  return { visitor, page: target.replace(/\?.*$/, ''), status: Number(status), at };
}

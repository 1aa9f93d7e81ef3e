/**
 * Whether the process of this container lives: 200 from HEALTH_URL (default https://localhost:8081/health), by the authority
 * in MILLRACE_TLS_CA. Exit code 0 or 1. Plain Node: images need no curl.
 */
import { readFileSync } from 'node:fs';
import { get as getInClear } from 'node:http';
import { get } from 'node:https';

const { MILLRACE_TLS_CA: authority, HEALTH_URL } = process.env;
const url = HEALTH_URL ?? `${authority === undefined ? 'http' : 'https'}://localhost:8081/health`;
const tls = authority === undefined ? {} : { ca: readFileSync(authority) };
const request = (url.startsWith('https:') ? get : getInClear)(url, { ...tls, timeout: 3_000 }, (response) => {
  response.resume();
  if (response.statusCode !== 200) process.stderr.write(`${url} answers ${response.statusCode}\n`);
  process.exitCode = response.statusCode === 200 ? 0 : 1;
});
request.on('timeout', () => request.destroy(new Error('no answer within 3 s')));
request.on('error', (error) => {
  process.stderr.write(`${url}: ${error.message}\n`);
  process.exitCode = 1;
});

import { expect, test } from 'vitest';
import { transportReason } from './transport-reason.ts';

const lastError = (text: string): string => `No connection established. Last error: ${text}. Resolution note: `;

test.each([
  ['Error: connect ECONNREFUSED 127.0.0.1:1 (2026-11-23T02:17:07.374Z)', true, /^nobody listens there/],
  [
    'Error: 80:error:0A00010B:SSL routines:ssl3_get_record:wrong version number:../deps/x.c:350',
    true,
    /does not speak TLS/,
  ],
  ['Error: certificate has expired', true, /has expired; issue another one/],
  ['Error: unable to verify the first certificate', true, /not of the authority/],
  [
    "Error: Hostname/IP does not match certificate's altnames: IP: 127.0.0.2 is not in the cert's list: ",
    true,
    /another host.*127\.0\.0\.2/,
  ],
  ['Failed to connect (2026-11-23T02:17:07.374Z)', false, /may want TLS/],
  ['Failed to connect (2026-11-23T02:17:07.374Z)', true, /^Failed to connect\.$/],
  [
    'Error: its certificate is not one of a job-manager but of client',
    true,
    /^its certificate is not one of a job-manager/,
  ],
])('the reason of %j with TLS %j is short and says what to do', (details, tls, expected) => {
  expect(transportReason(lastError(details), tls)).toMatch(expected);
});

test('a text that is not known is passed on', () => {
  expect(transportReason('Call cancelled', true)).toBe('Call cancelled');
});

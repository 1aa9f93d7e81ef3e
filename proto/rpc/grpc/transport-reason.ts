/** Why no connection stands, from gRPC's text for it: short, and with what to do where that is known. */

const remedies: readonly (readonly [RegExp, string])[] = [
  [/ECONNREFUSED/, 'nobody listens there (ECONNREFUSED)'],
  [
    /wrong version number|packet length too long/,
    'it does not speak TLS; give it a certificate, or leave out tls here',
  ],
  [/certificate has expired/, 'its certificate has expired; issue another one'],
  [/certificate is not yet valid/, 'its certificate is not valid yet; look at the clocks'],
  [
    /self[- ]signed certificate|unable to (get|verify)|unknown ca/i,
    'its certificate is not of the authority that tls.ca names; use certificates of one cluster',
  ],
  [/ERR_TLS_CERT_ALTNAME_INVALID|not in the cert/, 'its certificate is made for another host; issue one with --host'],
];

/**
 * @param details text of a failed call
 * @param tls     whether this side speaks TLS
 */
export function transportReason(details: string, tls: boolean): string {
  const bare = details
    .replace(/^No connection established\. Last error: /, '')
    .replace(/ ?Resolution note: ?/, '')
    .replace(/ ?\(\d{4}-\d\d-\d\dT[\d:.]+Z\)/g, '')
    .replace(/^(\w*Error: )+/, '')
    .trim();
  const known = remedies.find(([pattern]) => pattern.test(bare))?.[1];
  if (known !== undefined) return `${known}${/altname|not in the cert/i.test(bare) ? ` (${bare})` : ''}`;
  // A port with TLS closes what does not begin with a handshake, without a word.
  if (!tls && /^(Failed to connect|read ECONNRESET|Connection dropped|socket hang up)/.test(bare)) {
    return 'it closed the connection; it may want TLS: give tls.ca, tls.cert and tls.key';
  }
  return bare;
}

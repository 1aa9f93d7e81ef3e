/** Which hosts never leave this machine: whatever else is listened on can be reached by others. Pure. */

/** True for `localhost`, 127.0.0.0/8 and ::1, in every spelling of theirs; false for all names that would have to be looked up. */
export function isLoopback(host: string): boolean {
  const bare = host.replace(/^\[(.*)\]$/, '$1').toLowerCase();
  if (bare === 'localhost') return true;
  // Whatever of zeros, colons and a last 1 is an address at all is ::1; names have no colons.
  if (/^[0:]*:0{0,3}1$/.test(bare)) return true;
  if (/^::ffff:7f[0-9a-f]{2}:[0-9a-f]{1,4}$/.test(bare)) return true;
  const octets = /^(?:::ffff:)?127\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})$/.exec(bare);
  return octets?.slice(1).every((octet) => Number(octet) <= 255) ?? false;
}

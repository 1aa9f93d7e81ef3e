/**
 * Sees to it that tests find an etcd: by `ETCD_BIN`, on the PATH, or from Debian's package etcd-server where this process may
 * install it. Where none of these helps, suites that need one say so.
 */
import { spawnSync } from 'node:child_process';

const succeeds = (program, ...args) => spawnSync(program, args, { stdio: 'ignore' }).status === 0;

/** Installs etcd-server when there is no etcd and this is Debian's root. */
export function ensureEtcd() {
  if (succeeds(process.env.ETCD_BIN ?? 'etcd', '--version')) return;
  if (process.getuid?.() !== 0 || !succeeds('apt-get', '--version')) {
    process.stdout.write(
      'etcd was not found: install etcd-server or set ETCD_BIN to test clusters with several job managers\n',
    );
    return;
  }
  process.stdout.write('installing etcd-server for the tests\n');
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' };
  const aptGet = (...args) =>
    spawnSync('apt-get', ['-qq', ...args], { stdio: ['ignore', 'ignore', 'inherit'], env }).status === 0;
  const install = () => aptGet('install', '-y', '--no-install-recommends', 'etcd-server');
  // The list of packages may be missing or old.
  if (install() || (aptGet('update') && install())) return;
  process.stdout.write('etcd-server could not be installed\n');
}
